#include "engine/cache/kv_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace hearth {
namespace {

// Shapes as of Phi-4-mini, of a small model, with an odd head, and with a layer unlike the rest.
const std::vector<std::vector<KvLayerShape>> kModels = {
    {{8, 128}, {8, 128}}, {{4, 8}, {4, 8}, {4, 8}}, {{3, 7}}, {{1, 64}, {5, 96}, {2, 1}}};

using Range = std::pair<const std::byte*, const std::byte*>;

Range RangeOf(const void* start, size_t bytes) {
  const auto* first = static_cast<const std::byte*>(start);
  return {first, first + bytes};
}

// REQUIRES: the store is of these layers.
std::vector<Range> AllRanges(const KvStore& store, const std::vector<KvLayerShape>& layers) {
  std::vector<Range> ranges;
  const size_t element = store.type() == KvType::kF16 ? 2 : 1;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const KvLayerShape shape = layers[layer];
    for (BlockId block = 0; block < store.num_blocks(); ++block) {
      for (int32_t head = 0; head < shape.kv_heads; ++head) {
        const KvBlock kv = store.Block(static_cast<int32_t>(layer), block, head);
        ranges.push_back(RangeOf(kv.keys, kBlockTokens * shape.head_dim * element));
        ranges.push_back(RangeOf(kv.values, kBlockTokens * shape.head_dim * element));
        if (store.type() == KvType::kF16) continue;
        ranges.push_back(RangeOf(kv.key_scales, kBlockTokens * sizeof(uint16_t)));
        ranges.push_back(RangeOf(kv.value_scales, kBlockTokens * sizeof(uint16_t)));
      }
    }
  }
  return ranges;
}

TEST(KvStore, BlocksDoNotOverlapAndAreAligned) {
  for (const auto& layers : kModels) {
    for (const KvType type : {KvType::kInt8, KvType::kF16}) {
      const auto store = KvStore::Create(layers, type, 5);
      ASSERT_TRUE(store.ok()) << store.status();
      std::vector<Range> ranges = AllRanges(*store, layers);
      std::sort(ranges.begin(), ranges.end());
      for (size_t i = 0; i < ranges.size(); ++i) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(ranges[i].first) % 64, 0u);
        EXPECT_TRUE(i == 0 || ranges[i - 1].second <= ranges[i].first);
      }
      EXPECT_LE(ranges.back().second, ranges.front().first + store->bytes());
      EXPECT_EQ(store->bytes(), 5 * KvStore::BytesPerBlock(layers, type));
    }
  }
}

TEST(KvStore, WhatIsWrittenIsRead) {
  auto store = KvStore::Create(kModels[3], KvType::kInt8, 3);
  ASSERT_TRUE(store.ok());
  uint8_t value = 0;
  for (const auto& [first, last] : AllRanges(*store, kModels[3])) {
    std::memset(const_cast<std::byte*>(first), ++value, last - first);
  }
  value = 0;
  for (const auto& [first, last] : AllRanges(*store, kModels[3])) {
    ++value;
    EXPECT_TRUE(std::all_of(first, last, [&](std::byte b) { return b == std::byte{value}; }));
  }
}

TEST(KvStore, ABlockCostsItsElementsAndScales) {
  const std::vector<KvLayerShape> phi4(32, {8, 128});
  const size_t elements = 32 * 8 * 128 * kBlockTokens * 2;
  EXPECT_EQ(KvStore::BytesPerBlock(phi4, KvType::kF16), elements * 2);
  EXPECT_EQ(KvStore::BytesPerBlock(phi4, KvType::kInt8),
            elements + 32 * 8 * kBlockTokens * 2 * sizeof(uint16_t));
}

TEST(KvStore, F16HasNoScales) {
  const auto store = KvStore::Create(kModels[1], KvType::kF16, 2);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->Block(1, 1, 2).key_scales, nullptr);
  EXPECT_EQ(store->Block(1, 1, 2).value_scales, nullptr);
}

TEST(KvStore, RefusesShapesOutOfRange) {
  for (const KvLayerShape shape :
       {KvLayerShape{0, 8}, {8, 0}, {-1, 8}, {8, -1}, {8, 65537}, {2147483647, 2147483647}}) {
    const auto store = KvStore::Create({{8, 128}, shape}, KvType::kInt8, 4);
    EXPECT_EQ(store.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(store.status().message().find("layer 1"), std::string::npos) << store.status();
  }
  EXPECT_FALSE(KvStore::Create({}, KvType::kInt8, 4).ok());
  EXPECT_FALSE(KvStore::Create({{8, 128}}, KvType::kInt8, 0).ok());
  EXPECT_FALSE(KvStore::Create({{8, 128}}, KvType::kInt8, -1).ok());
}

TEST(KvStore, RefusesWhatExceedsTheAddressSpace) {
  const std::vector<KvLayerShape> huge(64, {65536, 65536});
  EXPECT_EQ(KvStore::Create(huge, KvType::kF16, 2147483647).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(KvStore::Create(huge, KvType::kF16, 4096).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace hearth
