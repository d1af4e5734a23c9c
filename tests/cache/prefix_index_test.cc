#include "engine/cache/prefix_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

namespace hearth {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kSeed = 42;

uint64_t Constant(uint64_t, absl::Span<const TokenId>) { return 1; }
uint64_t ByLength(uint64_t parent, absl::Span<const TokenId>) {  // of the chain, not its contents
  return parent >= 1000 ? parent + 1 : 1000;
}

std::vector<TokenId> Tokens(int32_t count, TokenId first = 0) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<BlockId> Match(const PrefixIndex& index, const std::vector<TokenId>& tokens,
                           uint64_t seed = kSeed) {
  std::vector<uint64_t> keys;
  index.ExtendKeys(seed, tokens, &keys);
  return index.Match(seed, tokens, keys);
}

// Indexes the full blocks of `tokens` as `blocks`; returns what Insert said of the last.
BlockId Insert(PrefixIndex& index, const std::vector<TokenId>& tokens,
               const std::vector<BlockId>& blocks, uint64_t seed = kSeed) {
  std::vector<uint64_t> keys;
  index.ExtendKeys(seed, tokens, &keys);
  BlockId parent = kNoBlock;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto part = absl::MakeConstSpan(tokens).subspan(i * kBlockTokens, kBlockTokens);
    const ChainLink link{seed, keys[i], parent, part};
    const BlockId found = index.Find(link);
    parent = found != kNoBlock ? found : index.Insert(link, blocks[i]);
    if (parent == kNoBlock) return kNoBlock;
  }
  index.CheckInvariants();
  return parent;
}

TEST(PrefixIndex, FindsTheLongestChain) {
  PrefixIndex index(16);
  EXPECT_THAT(Match(index, Tokens(100)), IsEmpty());
  Insert(index, Tokens(96), {4, 9, 2});
  EXPECT_THAT(Match(index, Tokens(100)), ElementsAre(4, 9, 2));
  EXPECT_THAT(Match(index, Tokens(200)), ElementsAre(4, 9, 2));
  std::vector<TokenId> other = Tokens(100);
  other[95] = 7777;
  EXPECT_THAT(Match(index, other), ElementsAre(4, 9));
  other[0] = 7777;
  EXPECT_THAT(Match(index, other), IsEmpty());
}

TEST(PrefixIndex, LeavesAtLeastOneTokenToCompute) {
  PrefixIndex index(16);
  Insert(index, Tokens(96), {0, 1, 2});
  EXPECT_EQ(Match(index, Tokens(97)).size(), 3u);
  EXPECT_EQ(Match(index, Tokens(96)).size(), 2u);
  EXPECT_EQ(Match(index, Tokens(65)).size(), 2u);
  EXPECT_EQ(Match(index, Tokens(64)).size(), 1u);
  EXPECT_EQ(Match(index, Tokens(32)).size(), 0u);
  EXPECT_EQ(Match(index, Tokens(1)).size(), 0u);
  EXPECT_EQ(MatchLimit(0), 0);
}

TEST(PrefixIndex, SeedsSeparate) {
  PrefixIndex index(16);
  Insert(index, Tokens(64), {0, 1}, 1);
  Insert(index, Tokens(64), {2, 3}, 2);
  EXPECT_THAT(Match(index, Tokens(65), 1), ElementsAre(0, 1));
  EXPECT_THAT(Match(index, Tokens(65), 2), ElementsAre(2, 3));
  EXPECT_THAT(Match(index, Tokens(65), 3), IsEmpty());
}

TEST(PrefixIndex, TheSameContentsKeepTheFirstBlock) {
  PrefixIndex index(16);
  Insert(index, Tokens(32), {5});
  std::vector<uint64_t> keys;
  const std::vector<TokenId> tokens = Tokens(32);
  index.ExtendKeys(kSeed, tokens, &keys);
  EXPECT_EQ(index.Insert({kSeed, keys[0], kNoBlock, tokens}, 6), 5);
  EXPECT_FALSE(index.Contains(6));
  EXPECT_EQ(index.size(), 1);
}

TEST(PrefixIndex, ErasedBlocksAreNotFound) {
  PrefixIndex index(16);
  Insert(index, Tokens(96), {0, 1, 2});
  index.Erase(2);
  EXPECT_THAT(Match(index, Tokens(100)), ElementsAre(0, 1));
  index.Erase(1);
  index.Erase(0);
  EXPECT_EQ(index.size(), 0);
  EXPECT_THAT(Match(index, Tokens(100)), IsEmpty());
}

// With a hash that always collides, a wrong block must never be found.
TEST(PrefixIndex, CollidingKeysOfDifferentTokens) {
  PrefixIndex index(16, &Constant);
  EXPECT_EQ(Insert(index, Tokens(32, 0), {3}), 3);
  EXPECT_THAT(Match(index, Tokens(33, 0)), ElementsAre(3));
  EXPECT_THAT(Match(index, Tokens(33, 500)), IsEmpty());
  EXPECT_EQ(Insert(index, Tokens(32, 500), {4}), kNoBlock);  // the newcomer stays out
  EXPECT_FALSE(index.Contains(4));
  EXPECT_THAT(Match(index, Tokens(33, 0), kSeed + 1), IsEmpty());
}

// The same tokens after a different start, whose key collides: the block before tells them apart.
TEST(PrefixIndex, CollidingKeysOfDifferentPrefixes) {
  PrefixIndex index(16, &ByLength);
  std::vector<TokenId> first = Tokens(96);
  std::vector<TokenId> second = first;
  second[5] = 7777;
  EXPECT_EQ(Insert(index, first, {0, 1, 2}), 2);
  EXPECT_THAT(Match(index, second), IsEmpty());
  // Even when the first block of the other chain takes the place of the first one's.
  index.Erase(2);
  index.Erase(1);
  index.Erase(0);
  EXPECT_EQ(Insert(index, second, {3, 4}), 4);
  EXPECT_THAT(Match(index, first), IsEmpty());
  std::vector<uint64_t> keys;
  index.ExtendKeys(kSeed, first, &keys);
  const auto part = absl::MakeConstSpan(first).subspan(kBlockTokens, kBlockTokens);
  EXPECT_EQ(index.Find({kSeed, keys[1], 3, part}), 4);
  EXPECT_EQ(index.Find({kSeed, keys[1], 7, part}), kNoBlock);
}

TEST(PrefixIndex, KeysGrowWithTheTokens) {
  PrefixIndex index(4);
  std::vector<uint64_t> grown, whole;
  const std::vector<TokenId> tokens = Tokens(200);
  for (size_t n = 0; n <= tokens.size(); ++n) {
    index.ExtendKeys(kSeed, absl::MakeConstSpan(tokens).first(n), &grown);
    EXPECT_EQ(grown.size(), n / kBlockTokens);
  }
  index.ExtendKeys(kSeed, tokens, &whole);
  EXPECT_EQ(grown, whole);
}

// Each single change of a token, its place or the parent changes the key.
TEST(ChainKey, DependsOnEverything) {
  std::set<uint64_t> keys;
  const std::vector<TokenId> tokens = Tokens(kBlockTokens);
  for (uint64_t parent = 0; parent < 100; ++parent) keys.insert(ChainKey(parent, tokens));
  for (int32_t i = 0; i < kBlockTokens; ++i) {
    for (int bit = 0; bit < 31; ++bit) {
      std::vector<TokenId> changed = tokens;
      changed[i] ^= 1 << bit;
      keys.insert(ChainKey(0, changed));
    }
    for (int32_t j = 0; j < i; ++j) {
      std::vector<TokenId> swapped = tokens;
      std::swap(swapped[i], swapped[j]);
      keys.insert(ChainKey(0, swapped));
    }
  }
  EXPECT_EQ(keys.size(), 100u + 32 * 31 + 32 * 31 / 2);
}

}  // namespace
}  // namespace hearth
