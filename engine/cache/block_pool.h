// Which KV blocks are in use: reference counts, a free list, and the order in which reusable
// blocks were last used. Integers only: the memory lies in KvStore. Every operation is O(1).
#ifndef HEARTH_ENGINE_CACHE_BLOCK_POOL_H_
#define HEARTH_ENGINE_CACHE_BLOCK_POOL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/batch.h"

namespace hearth {

// A block is in exactly one of three states:
//   used    it has references;
//   cached  it has none, but holds contents worth finding again: it was retained while used;
//   free    it has none and holds nothing of worth.
class BlockPool {
 public:
  explicit BlockPool(int32_t num_blocks);

  // Takes a free block, with one reference. nullopt when none is free: Evict first.
  std::optional<BlockId> Take();

  // Frees the cached block whose last use is the longest ago and names it, so that whoever finds
  // blocks by their contents forgets it. nullopt when none is cached.
  std::optional<BlockId> Evict();

  // REQUIRES: `block` is used or cached.
  void Ref(BlockId block);

  // Drops a reference. The last one leaves a retained block cached, as the most recently used,
  // any other free. REQUIRES: `block` is used.
  void Unref(BlockId block);

  // Marks the contents as worth keeping until the block is evicted. REQUIRES: `block` is used.
  void Retain(BlockId block);

  int32_t refs(BlockId block) const { return slots_[block].refs; }
  bool retained(BlockId block) const { return slots_[block].retained; }

  int32_t num_blocks() const { return static_cast<int32_t>(slots_.size()); }
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t num_cached() const { return num_cached_; }
  int32_t num_used() const { return num_blocks() - num_free() - num_cached_; }
  int32_t num_available() const { return num_free() + num_cached_; }

  void CheckInvariants() const;

 private:
  static constexpr BlockId kNone = -1;

  struct Slot {
    int32_t refs = 0;
    bool retained = false;
    BlockId older = kNone;  // neighbours in the list of cached blocks
    BlockId newer = kNone;
  };

  void LinkNewest(BlockId block);
  void Unlink(BlockId block);

  std::vector<Slot> slots_;
  std::vector<BlockId> free_;  // taken from the back
  BlockId oldest_ = kNone;
  BlockId newest_ = kNone;
  int32_t num_cached_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CACHE_BLOCK_POOL_H_
