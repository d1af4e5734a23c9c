// Finds KV blocks by the tokens they were computed from. A full block's key is a hash of its
// tokens and of the key before it, rooted in a seed (model, KV type, RoPE regime, salt), so one
// key stands for a whole prefix. Keys only find: a hit is a hit when the seed, the block before
// and the tokens are equal too, so a collision costs a reuse and can never cause a wrong one.
#ifndef HEARTH_ENGINE_CACHE_PREFIX_INDEX_H_
#define HEARTH_ENGINE_CACHE_PREFIX_INDEX_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/batch.h"
#include "engine/request.h"

namespace hearth {

inline constexpr BlockId kNoBlock = -1;

// The key of a block that holds `tokens` and follows the block with key `parent`.
using KeyFunction = uint64_t (*)(uint64_t parent, absl::Span<const TokenId> tokens);
uint64_t ChainKey(uint64_t parent, absl::Span<const TokenId> tokens);

// One full block of a chain, as it is looked up.
struct ChainLink {
  uint64_t seed;                     // root of the chain
  uint64_t key;                      // of this block
  BlockId parent;                    // the indexed block before it; kNoBlock: it is the first
  absl::Span<const TokenId> tokens;  // kBlockTokens of them
};

// Invariant the user keeps: a block is erased before its parent is. Releasing the blocks of a
// sequence tail first, into a least-recently-used order, does it.
class PrefixIndex {
 public:
  explicit PrefixIndex(int32_t num_blocks, KeyFunction key_function = &ChainKey);

  // Appends to `keys` those of the full blocks of `tokens` that it lacks.
  void ExtendKeys(uint64_t seed, absl::Span<const TokenId> tokens,
                  std::vector<uint64_t>* keys) const;

  // The longest indexed chain at the start of `tokens`, never all of them: at least one token is
  // left to compute, since its logits are wanted. REQUIRES: `keys` covers the full blocks.
  std::vector<BlockId> Match(uint64_t seed, absl::Span<const TokenId> tokens,
                             absl::Span<const uint64_t> keys) const;

  // The block with these contents, or kNoBlock.
  BlockId Find(const ChainLink& link) const;

  // Indexes `block`, unless a block with the same contents is there already. Returns the one that
  // is indexed now, or kNoBlock when another chain holds the key. REQUIRES: `block` is not indexed.
  BlockId Insert(const ChainLink& link, BlockId block);

  // REQUIRES: `block` is indexed.
  void Erase(BlockId block);

  bool Contains(BlockId block) const { return entries_[block].indexed; }
  uint64_t key(BlockId block) const { return entries_[block].key; }
  BlockId parent(BlockId block) const { return entries_[block].parent; }
  int32_t size() const { return static_cast<int32_t>(by_key_.size()); }

  void CheckInvariants() const;

 private:
  struct Entry {  // of the block with the same number
    bool indexed = false;
    BlockId parent = kNoBlock;
    uint64_t seed = 0;
    uint64_t key = 0;
    std::array<TokenId, kBlockTokens> tokens;
  };

  KeyFunction key_function_;
  std::vector<Entry> entries_;
  absl::flat_hash_map<uint64_t, BlockId> by_key_;
};

// How many leading blocks of a sequence with so many tokens may come from the index.
constexpr int32_t MatchLimit(size_t num_tokens) {
  return num_tokens == 0 ? 0 : static_cast<int32_t>((num_tokens - 1) / kBlockTokens);
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_CACHE_PREFIX_INDEX_H_
