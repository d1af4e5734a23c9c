#include "tests/tools/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth {
namespace {

std::vector<float> NormalRow(size_t size) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> row(size);
  for (float& x : row) x = normal(random);
  return row;
}

std::vector<float> RoundTrip(DType type, const std::vector<float>& row) {
  std::vector<std::byte> encoded(RowBytes(type, static_cast<int64_t>(row.size())));
  EncodeRow(type, row, encoded.data());
  std::vector<float> decoded(row.size());
  DecodeRow(type, encoded.data(), absl::MakeSpan(decoded));
  return decoded;
}

// How far a value may move, given the largest magnitude of its block and of its superblock. Codes
// are half a step off at most; ranges are shared out in steps of 1/63 (K types, of scale and
// minimum) or 1/128 (Q6_K), and a signed range's far end is cut by up to one step.
float Bound(DType type, float x, float block, float superblock) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return std::abs(x) * 0x1p-11f;
    case DType::kBF16:
      return std::abs(x) * 0x1p-8f;
    case DType::kQ8_0:
      return block / 127 * 0.51f + block * 0x1p-11f;
    case DType::kQ4_0:
      return block / 8 * 1.01f;
    case DType::kQ4_1:
      return 2 * block / 15 * 0.52f;
    case DType::kQ5_0:
      return block / 16 * 1.01f;
    case DType::kQ5_1:
      return 2 * block / 31 * 0.52f;
    case DType::kQ4_K:
      return 2 * superblock / 15 * 0.52f + 2 * superblock / 63;
    case DType::kQ5_K:
      return 2 * superblock / 31 * 0.52f + 2 * superblock / 63;
    case DType::kQ6_K:
      return block / 32 * 1.01f + superblock / 128;
  }
  return 0;
}

TEST(QuantizeTest, ErrorIsWithinWhatTheFormatAllows) {
  const std::vector<float> row = NormalRow(512);
  const auto largest = [&row](size_t begin, size_t count) {
    float found = 0;
    for (size_t i = begin; i < begin + count; ++i) found = std::max(found, std::abs(row[i]));
    return found;
  };
  for (DType type : kDTypes) {
    const std::vector<float> decoded = RoundTrip(type, row);
    for (size_t i = 0; i < row.size(); ++i) {
      const float bound =
          Bound(type, row[i], largest(i / 32 * 32, 32), largest(i / 256 * 256, 256));
      EXPECT_LE(std::abs(decoded[i] - row[i]), bound) << Traits(type).name << " " << i;
    }
  }
}

TEST(QuantizeTest, EncodingADecodedRowChangesNothing) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0}) {
    const std::vector<float> once = RoundTrip(type, NormalRow(256));
    EXPECT_EQ(RoundTrip(type, once), once) << Traits(type).name;
  }
}

TEST(QuantizeTest, Q4_0BlockFollowsItsDefinition) {
  std::vector<float> row(32, 0.0f);
  row[0] = 4.0f;  // largest magnitude: code 0, so the scale is -0.5
  row[1] = -3.5f;
  row[16] = 1.0f;
  row[31] = -0.5f;
  BlockQ4_0 block;
  EncodeRow(DType::kQ4_0, row, reinterpret_cast<std::byte*>(&block));
  EXPECT_EQ(F16ToF32(block.d), -0.5f);
  EXPECT_EQ(block.q[0], 0 | (6 << 4));
  EXPECT_EQ(block.q[1], 15 | (8 << 4));
  EXPECT_EQ(block.q[15], 8 | (9 << 4));
}

TEST(QuantizeTest, Q8_0BlockFollowsItsDefinition) {
  std::vector<float> row(32, 0.0f);
  row[3] = -127.0f;
  row[4] = 64.0f;
  BlockQ8_0 block;
  EncodeRow(DType::kQ8_0, row, reinterpret_cast<std::byte*>(&block));
  EXPECT_EQ(F16ToF32(block.d), 1.0f);
  EXPECT_EQ(block.q[3], -127);
  EXPECT_EQ(block.q[4], 64);
  EXPECT_EQ(block.q[5], 0);
}

TEST(QuantizeTest, ZerosStayZeros) {
  for (DType type : kDTypes) {
    for (float x : RoundTrip(type, std::vector<float>(256, 0.0f))) EXPECT_EQ(x, 0.0f);
  }
}

}  // namespace
}  // namespace hearth
