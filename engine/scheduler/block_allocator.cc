#include "engine/scheduler/block_allocator.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr int32_t kPinnedFraction = 4;  // pins hold at most one in so many blocks

}  // namespace

void BlockAllocator::ExtendKeys(Sequence& sequence) const {
  if (!prefix_cache_) return;
  index_.ExtendKeys(sequence.request.prefix_seed, sequence.tokens, &sequence.keys);
}

std::vector<BlockId> BlockAllocator::MatchPrefix(const Sequence& sequence) const {
  if (!prefix_cache_) return {};
  const auto before = absl::MakeConstSpan(sequence.tokens).first(sequence.FirstWanted() + 1);
  return index_.Match(sequence.request.prefix_seed, before, sequence.keys);
}

int32_t BlockAllocator::BlocksToStart(const Sequence& sequence,
                                      absl::Span<const BlockId> prefix) const {
  int32_t blocks = BlocksFor(sequence.num_tokens());
  for (const BlockId block : prefix) {
    if (pool_.refs(block) > 0) --blocks;  // a cached one counts as available, so it is taken
  }
  return blocks;
}

void BlockAllocator::Adopt(Sequence& sequence, std::vector<BlockId> prefix) {
  HEARTH_CHECK(sequence.blocks.empty() && sequence.computed == 0);
  for (const BlockId block : prefix) pool_.Ref(block);
  sequence.blocks = std::move(prefix);
  sequence.published = static_cast<int32_t>(sequence.blocks.size());
  sequence.computed = sequence.published * kBlockTokens;
}

bool BlockAllocator::Extend(Sequence& sequence, int32_t num_tokens) {
  while (static_cast<int32_t>(sequence.blocks.size()) < BlocksFor(num_tokens)) {
    std::optional<BlockId> block = pool_.Take();
    if (!block) {
      const std::optional<BlockId> evicted = pool_.Evict();
      if (!evicted) return false;
      index_.Erase(*evicted);
      block = pool_.Take();
    }
    sequence.blocks.push_back(*block);
  }
  return true;
}

void BlockAllocator::Publish(Sequence& sequence) {
  if (!prefix_cache_) return;
  while (sequence.publishes && sequence.published < sequence.computed / kBlockTokens) {
    const size_t i = sequence.published;
    const BlockId own = sequence.blocks[i];
    const BlockId parent = i == 0 ? kNoBlock : sequence.blocks[i - 1];
    const auto tokens =
        absl::MakeConstSpan(sequence.tokens).subspan(i * kBlockTokens, kBlockTokens);
    const BlockId indexed =
        index_.Insert({sequence.request.prefix_seed, sequence.keys[i], parent, tokens}, own);
    if (indexed == kNoBlock) {
      sequence.publishes = false;
      return;
    }
    if (indexed == own) {
      pool_.Retain(own);
    } else {
      pool_.Ref(indexed);
      pool_.Unref(own);
      sequence.blocks[i] = indexed;
    }
    ++sequence.published;
  }
}

void BlockAllocator::Unref(absl::Span<const BlockId> blocks) {
  for (; !blocks.empty(); blocks.remove_suffix(1)) pool_.Unref(blocks.back());
}

void BlockAllocator::Release(Sequence& sequence) {
  Unref(sequence.blocks);
  sequence.blocks.clear();
  sequence.computed = 0;
  sequence.planned = 0;
  sequence.published = 0;
  sequence.publishes = true;
}

std::vector<BlockAllocator::PinnedPrefix>::const_iterator BlockAllocator::FindPin(
    const std::string& name) const {
  return std::find_if(pins_.begin(), pins_.end(),
                      [&](const PinnedPrefix& pin) { return pin.name == name; });
}

absl::Status BlockAllocator::CheckPin(const std::string& name, size_t num_blocks) const {
  if (!prefix_cache_) return absl::FailedPreconditionError("pin: the prefix cache is off");
  if (num_blocks == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pin: the prefix fills no block of ", kBlockTokens, " tokens"));
  }
  const auto replaced = FindPin(name);
  const int32_t others =
      num_pinned() - (replaced == pins_.end() ? 0 : static_cast<int32_t>(replaced->blocks.size()));
  const int32_t most = pool_.num_blocks() / kPinnedFraction;
  if (others + static_cast<int64_t>(num_blocks) > most) {
    return absl::ResourceExhaustedError(
        absl::StrCat("pin: ", num_blocks, " blocks of ", kBlockTokens, " tokens beside ", others,
                     " pinned ones, expected at most ", most, " together"));
  }
  return absl::OkStatus();
}

absl::Status BlockAllocator::Pin(const std::string& name, const Sequence& sequence) {
  if (!sequence.publishes) {
    return absl::UnavailableError(
        "pin: a block of another prefix is cached under the same key; try again later");
  }
  HEARTH_RETURN_IF_ERROR(CheckPin(name, sequence.published));
  const auto held = absl::MakeConstSpan(sequence.blocks).first(sequence.published);
  for (const BlockId block : held) pool_.Ref(block);
  Unpin(name);
  pins_.push_back({name, {held.begin(), held.end()}});
  return absl::OkStatus();
}

bool BlockAllocator::Unpin(const std::string& name) {
  const auto pin = FindPin(name);
  if (pin == pins_.end()) return false;
  Unref(pin->blocks);
  pins_.erase(pin);
  return true;
}

bool BlockAllocator::YieldPin() { return !pins_.empty() && Unpin(std::string(pins_.front().name)); }

int32_t BlockAllocator::num_pinned() const {
  size_t blocks = 0;
  for (const PinnedPrefix& pin : pins_) blocks += pin.blocks.size();
  return static_cast<int32_t>(blocks);
}

void BlockAllocator::FlushCached() {
  while (YieldPin()) {
  }
  while (const std::optional<BlockId> evicted = pool_.Evict()) index_.Erase(*evicted);
}

void BlockAllocator::CheckInvariants(absl::Span<Sequence* const> running) const {
  pool_.CheckInvariants();
  index_.CheckInvariants();
  std::vector<int32_t> refs(pool_.num_blocks(), 0);
  for (const Sequence* sequence : running) {
    CheckSequence(*sequence);
    for (const BlockId block : sequence->blocks) ++refs[block];
  }
  for (const PinnedPrefix& pin : pins_) {
    HEARTH_CHECK(!pin.blocks.empty() && index_.Contains(pin.blocks.back()));
    for (const BlockId block : pin.blocks) ++refs[block];
  }
  HEARTH_CHECK(num_pinned() <= pool_.num_blocks() / kPinnedFraction);
  for (BlockId block = 0; block < pool_.num_blocks(); ++block) {
    HEARTH_CHECK(pool_.refs(block) == refs[block]);
    HEARTH_CHECK(pool_.retained(block) == index_.Contains(block));
    const BlockId parent = index_.Contains(block) ? index_.parent(block) : kNoBlock;
    // A chain is held up to its root, so that the root outlives the leaves in the cache.
    HEARTH_CHECK(parent == kNoBlock || refs[block] == 0 || refs[parent] > 0);
  }
}

void BlockAllocator::CheckSequence(const Sequence& sequence) const {
  HEARTH_CHECK(static_cast<int32_t>(sequence.blocks.size()) ==
               BlocksFor(sequence.computed + sequence.planned));
  if (!prefix_cache_) {
    HEARTH_CHECK(sequence.published == 0);
    return;
  }
  HEARTH_CHECK(sequence.keys.size() == sequence.tokens.size() / kBlockTokens);
  HEARTH_CHECK(!sequence.publishes || sequence.published == sequence.computed / kBlockTokens);
  for (int32_t i = 0; i < sequence.published; ++i) {
    const BlockId block = sequence.blocks[i];
    const BlockId parent = i == 0 ? kNoBlock : sequence.blocks[i - 1];
    HEARTH_CHECK(index_.Contains(block) && index_.key(block) == sequence.keys[i]);
    HEARTH_CHECK(index_.parent(block) == parent);
  }
}

}  // namespace hearth
