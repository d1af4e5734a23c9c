#include "engine/cache/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace hearth {
namespace {

TEST(BlockPool, TakesEachBlockOnceThenNone) {
  BlockPool pool(5);
  std::set<BlockId> taken;
  for (int i = 0; i < 5; ++i) taken.insert(*pool.Take());
  EXPECT_EQ(taken, (std::set<BlockId>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.Take(), std::nullopt);
  EXPECT_EQ(pool.Evict(), std::nullopt);
  EXPECT_EQ(pool.num_used(), 5);
}

TEST(BlockPool, TheLastReferenceFrees) {
  BlockPool pool(1);
  const BlockId block = *pool.Take();
  pool.Ref(block);
  pool.Unref(block);
  EXPECT_EQ(pool.num_free(), 0);
  pool.Unref(block);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.num_cached(), 0);
}

TEST(BlockPool, RetainedBlocksAreCachedAndComeBack) {
  BlockPool pool(2);
  const BlockId block = *pool.Take();
  pool.Retain(block);
  pool.Unref(block);
  EXPECT_EQ(pool.num_cached(), 1);
  EXPECT_EQ(pool.num_available(), 2);
  pool.Ref(block);
  EXPECT_EQ(pool.num_cached(), 0);
  EXPECT_EQ(pool.refs(block), 1);
  pool.Unref(block);
  EXPECT_EQ(pool.Evict(), block);
  EXPECT_FALSE(pool.retained(block));
  EXPECT_EQ(pool.num_free(), 2);
}

TEST(BlockPool, EvictsTheLeastRecentlyUsedFirst) {
  BlockPool pool(4);
  for (int i = 0; i < 4; ++i) pool.Retain(*pool.Take());
  for (const BlockId block : {2, 0, 3, 1}) pool.Unref(block);
  pool.Ref(0);
  pool.Unref(0);  // used again
  EXPECT_EQ(pool.Evict(), 2);
  EXPECT_EQ(pool.Evict(), 3);
  EXPECT_EQ(pool.Evict(), 1);
  EXPECT_EQ(pool.Evict(), 0);
}

TEST(BlockPool, CachedBlocksAreNotTaken) {
  BlockPool pool(2);
  const BlockId block = *pool.Take();
  pool.Retain(block);
  pool.Unref(block);
  EXPECT_NE(pool.Take(), block);
  EXPECT_EQ(pool.Take(), std::nullopt);
}

// Against a plain model: counts by block and the cached ones in order.
TEST(BlockPool, AgreesWithAModelUnderRandomUse) {
  constexpr int32_t kBlocks = 12;
  std::mt19937 random(11);
  BlockPool pool(kBlocks);
  std::map<BlockId, int> refs;
  std::set<BlockId> retained;
  std::deque<BlockId> cached;
  for (int step = 0; step < 20000; ++step) {
    const auto block = static_cast<BlockId>(random() % kBlocks);
    const bool used = refs[block] > 0;
    const auto place = std::find(cached.begin(), cached.end(), block);
    switch (random() % 5) {
      case 0:
        if (const auto taken = pool.Take()) {
          EXPECT_EQ(refs[*taken]++, 0);
          EXPECT_EQ(std::count(cached.begin(), cached.end(), *taken), 0);
        }
        break;
      case 1:
        if (!used && place == cached.end()) break;
        pool.Ref(block);
        ++refs[block];
        if (!used) cached.erase(place);
        break;
      case 2:
        if (!used) break;
        pool.Unref(block);
        if (--refs[block] == 0 && retained.contains(block)) cached.push_back(block);
        break;
      case 3:
        if (!used) break;
        pool.Retain(block);
        retained.insert(block);
        break;
      default:
        if (random() % 4 != 0) break;
        const auto evicted = pool.Evict();
        ASSERT_EQ(evicted.has_value(), !cached.empty());
        if (!evicted) break;
        EXPECT_EQ(*evicted, cached.front());
        cached.pop_front();
        retained.erase(*evicted);
    }
    pool.CheckInvariants();
    ASSERT_EQ(pool.num_cached(), static_cast<int32_t>(cached.size()));
    for (BlockId b = 0; b < kBlocks; ++b) ASSERT_EQ(pool.refs(b), refs[b]);
  }
}

TEST(BlockPoolDeathTest, MisuseAborts) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.Unref(0), "check failed");
  EXPECT_DEATH(pool.Ref(0), "check failed");
  EXPECT_DEATH(pool.Retain(0), "check failed");
  EXPECT_DEATH(BlockPool(0), "check failed");
}

}  // namespace
}  // namespace hearth
