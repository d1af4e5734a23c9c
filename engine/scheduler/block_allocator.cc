#include "engine/scheduler/block_allocator.h"

#include <optional>
#include <utility>

#include "engine/check.h"

namespace hearth {

void BlockAllocator::ExtendKeys(Sequence& sequence) const {
  if (!prefix_cache_) return;
  index_.ExtendKeys(sequence.request.prefix_seed, sequence.tokens, &sequence.keys);
}

std::vector<BlockId> BlockAllocator::MatchPrefix(const Sequence& sequence) const {
  if (!prefix_cache_ || sequence.request.prompt_logits) return {};
  return index_.Match(sequence.request.prefix_seed, sequence.tokens, sequence.keys);
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

void BlockAllocator::Release(Sequence& sequence) {
  while (!sequence.blocks.empty()) {
    pool_.Unref(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
  sequence.computed = 0;
  sequence.planned = 0;
  sequence.published = 0;
  sequence.publishes = true;
}

void BlockAllocator::FlushCached() {
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
