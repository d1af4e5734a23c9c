#include "engine/cache/prefix_index.h"

#include <algorithm>

#include "engine/check.h"
#include "engine/mix.h"

namespace hearth {
namespace {

absl::Span<const TokenId> BlockOf(absl::Span<const TokenId> tokens, size_t block) {
  return tokens.subspan(block * kBlockTokens, kBlockTokens);
}

}  // namespace

uint64_t ChainKey(uint64_t parent, absl::Span<const TokenId> tokens) {
  uint64_t key = Mix(parent + 0x9e3779b97f4a7c15u);
  for (size_t i = 0; i + 1 < tokens.size(); i += 2) {
    const uint64_t pair = static_cast<uint32_t>(tokens[i]) |
                          static_cast<uint64_t>(static_cast<uint32_t>(tokens[i + 1])) << 32;
    key = Mix((key ^ pair) + 0x9e3779b97f4a7c15u);
  }
  return key;
}

PrefixIndex::PrefixIndex(int32_t num_blocks, KeyFunction key_function)
    : key_function_(key_function), entries_(num_blocks) {
  by_key_.reserve(num_blocks);
}

void PrefixIndex::ExtendKeys(uint64_t seed, absl::Span<const TokenId> tokens,
                             std::vector<uint64_t>* keys) const {
  for (size_t block = keys->size(); block < tokens.size() / kBlockTokens; ++block) {
    const uint64_t parent = block == 0 ? seed : keys->back();
    keys->push_back(key_function_(parent, BlockOf(tokens, block)));
  }
}

std::vector<BlockId> PrefixIndex::Match(uint64_t seed, absl::Span<const TokenId> tokens,
                                        absl::Span<const uint64_t> keys) const {
  std::vector<BlockId> chain;
  const size_t limit = MatchLimit(tokens.size());
  HEARTH_CHECK(keys.size() >= limit);
  while (chain.size() < limit) {
    const size_t i = chain.size();
    const BlockId parent = i == 0 ? kNoBlock : chain.back();
    const BlockId block = Find({seed, keys[i], parent, BlockOf(tokens, i)});
    if (block == kNoBlock) break;
    chain.push_back(block);
  }
  return chain;
}

BlockId PrefixIndex::Find(const ChainLink& link) const {
  const auto found = by_key_.find(link.key);
  if (found == by_key_.end()) return kNoBlock;
  const Entry& entry = entries_[found->second];
  const bool same =
      entry.seed == link.seed && entry.parent == link.parent &&
      std::equal(entry.tokens.begin(), entry.tokens.end(), link.tokens.begin(), link.tokens.end());
  return same ? found->second : kNoBlock;
}

BlockId PrefixIndex::Insert(const ChainLink& link, BlockId block) {
  Entry& entry = entries_[block];
  HEARTH_CHECK(!entry.indexed && link.tokens.size() == kBlockTokens);
  HEARTH_CHECK(link.parent == kNoBlock || Contains(link.parent));
  const auto [place, inserted] = by_key_.try_emplace(link.key, block);
  if (!inserted) return Find(link);
  entry.indexed = true;
  entry.parent = link.parent;
  entry.seed = link.seed;
  entry.key = link.key;
  std::copy(link.tokens.begin(), link.tokens.end(), entry.tokens.begin());
  return block;
}

void PrefixIndex::Erase(BlockId block) {
  HEARTH_CHECK(entries_[block].indexed);
  by_key_.erase(entries_[block].key);
  entries_[block].indexed = false;
}

void PrefixIndex::CheckInvariants() const {
  int32_t indexed = 0;
  for (BlockId block = 0; block < static_cast<BlockId>(entries_.size()); ++block) {
    const Entry& entry = entries_[block];
    if (!entry.indexed) continue;
    ++indexed;
    const auto found = by_key_.find(entry.key);
    HEARTH_CHECK(found != by_key_.end() && found->second == block);
    uint64_t parent_key = entry.seed;
    if (entry.parent != kNoBlock) {
      const Entry& parent = entries_[entry.parent];
      HEARTH_CHECK(parent.indexed && parent.seed == entry.seed);
      parent_key = parent.key;
    }
    HEARTH_CHECK(entry.key == key_function_(parent_key, entry.tokens));
  }
  HEARTH_CHECK(indexed == size());
}

}  // namespace hearth
