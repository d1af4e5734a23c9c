#include "engine/cache/block_pool.h"

#include "engine/check.h"

namespace hearth {

BlockPool::BlockPool(int32_t num_blocks) {
  HEARTH_CHECK(num_blocks > 0);
  slots_.resize(num_blocks);
  free_.reserve(num_blocks);
  for (BlockId block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

std::optional<BlockId> BlockPool::Take() {
  if (free_.empty()) return std::nullopt;
  const BlockId block = free_.back();
  free_.pop_back();
  slots_[block].refs = 1;
  return block;
}

std::optional<BlockId> BlockPool::Evict() {
  if (oldest_ == kNone) return std::nullopt;
  const BlockId block = oldest_;
  Unlink(block);
  slots_[block].retained = false;
  free_.push_back(block);
  return block;
}

void BlockPool::Ref(BlockId block) {
  Slot& slot = slots_[block];
  if (slot.refs == 0) {
    HEARTH_CHECK(slot.retained);
    Unlink(block);
  }
  ++slot.refs;
}

void BlockPool::Unref(BlockId block) {
  Slot& slot = slots_[block];
  HEARTH_CHECK(slot.refs > 0);
  if (--slot.refs > 0) return;
  if (slot.retained) {
    LinkNewest(block);
  } else {
    free_.push_back(block);
  }
}

void BlockPool::Retain(BlockId block) {
  HEARTH_CHECK(slots_[block].refs > 0);
  slots_[block].retained = true;
}

void BlockPool::LinkNewest(BlockId block) {
  slots_[block].older = newest_;
  slots_[block].newer = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].newer) = block;
  newest_ = block;
  ++num_cached_;
}

void BlockPool::Unlink(BlockId block) {
  const Slot& slot = slots_[block];
  (slot.older == kNone ? oldest_ : slots_[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? newest_ : slots_[slot.newer].older) = slot.older;
  --num_cached_;
}

void BlockPool::CheckInvariants() const {
  std::vector<int32_t> seen(slots_.size(), 0);  // in how many of the lists
  for (const BlockId block : free_) {
    HEARTH_CHECK(slots_[block].refs == 0 && !slots_[block].retained);
    ++seen[block];
  }
  int32_t cached = 0;
  BlockId before = kNone;
  for (BlockId block = oldest_; block != kNone; block = slots_[block].newer) {
    HEARTH_CHECK(slots_[block].refs == 0 && slots_[block].retained);
    HEARTH_CHECK(slots_[block].older == before);
    HEARTH_CHECK(++cached <= num_cached_);
    ++seen[block];
    before = block;
  }
  HEARTH_CHECK(before == newest_ && cached == num_cached_);
  for (BlockId block = 0; block < num_blocks(); ++block) {
    HEARTH_CHECK(slots_[block].refs >= 0);
    HEARTH_CHECK(seen[block] == (slots_[block].refs == 0 ? 1 : 0));
  }
}

}  // namespace hearth
