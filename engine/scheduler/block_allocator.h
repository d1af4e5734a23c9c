// Gives KV blocks to sequences: new ones as positions need them, and those of cached prefixes.
// Keeps the pool and the prefix index in step.
#ifndef HEARTH_ENGINE_SCHEDULER_BLOCK_ALLOCATOR_H_
#define HEARTH_ENGINE_SCHEDULER_BLOCK_ALLOCATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/cache/block_pool.h"
#include "engine/cache/prefix_index.h"
#include "engine/scheduler/sequence.h"

namespace hearth {

class BlockAllocator {
 public:
  BlockAllocator(int32_t num_blocks, bool prefix_cache, KeyFunction prefix_key)
      : prefix_cache_(prefix_cache), pool_(num_blocks), index_(num_blocks, prefix_key) {}

  // Brings `sequence.keys` up to its tokens. Reads nothing that ever changes.
  void ExtendKeys(Sequence& sequence) const;

  // The cached blocks that `sequence` could start with. REQUIRES: its keys are up to date.
  std::vector<BlockId> MatchPrefix(const Sequence& sequence) const;

  // How many of the blocks available now `sequence` would take if it started with `prefix`.
  int32_t BlocksToStart(const Sequence& sequence, absl::Span<const BlockId> prefix) const;

  // Lets `sequence`, which has no blocks, start with `prefix` as computed.
  void Adopt(Sequence& sequence, std::vector<BlockId> prefix);

  // Adds blocks until they hold `num_tokens`; false when the pool is exhausted before.
  bool Extend(Sequence& sequence, int32_t num_tokens);

  // Makes the full computed blocks findable. Where the index holds a block of the same contents,
  // the sequence changes over to that one, so that every running sequence holds the whole chain
  // in front of each block that it published.
  void Publish(Sequence& sequence);

  // Takes all blocks back, tails first: of a chain the leaves leave the cache first.
  void Release(Sequence& sequence);

  // Pins the published blocks of `sequence`: they stay until `name` is unpinned. An older pin of
  // that name is replaced. Errors as CheckPin's; Unavailable when the index holds another chain
  // under one of its keys, so that not all of it could be published.
  absl::Status Pin(const std::string& name, const Sequence& sequence);
  // Whether so many blocks may be pinned: one at least, and with the other pins no more than a
  // quarter of the pool.
  absl::Status CheckPin(const std::string& name, size_t num_blocks) const;
  bool Unpin(const std::string& name);  // false when there is no such pin
  bool YieldPin();                      // unpins the oldest; false when there is none
  int32_t num_pinned() const;           // blocks; one that two pins share counts twice

  // Forgets all that no sequence holds, pinned or not.
  void FlushCached();

  const BlockPool& pool() const { return pool_; }
  const PrefixIndex& index() const { return index_; }

  void CheckInvariants(absl::Span<Sequence* const> running) const;

 private:
  struct PinnedPrefix {
    std::string name;
    std::vector<BlockId> blocks;
  };

  void CheckSequence(const Sequence& sequence) const;
  void Unref(absl::Span<const BlockId> blocks);
  std::vector<PinnedPrefix>::const_iterator FindPin(const std::string& name) const;

  const bool prefix_cache_;
  BlockPool pool_;
  PrefixIndex index_;
  std::vector<PinnedPrefix> pins_;  // oldest first
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_BLOCK_ALLOCATOR_H_
