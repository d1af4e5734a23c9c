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

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

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

TEST(QuantizeTest, ErrorIsWithinHalfAStep) {
  const std::vector<float> row = NormalRow(256);
  for (DType type : kTypes) {
    const std::vector<float> decoded = RoundTrip(type, row);
    for (size_t block = 0; block < row.size(); block += 32) {
      float extreme = 0;
      for (size_t i = block; i < block + 32; ++i) extreme = std::max(extreme, std::abs(row[i]));
      for (size_t i = block; i < block + 32; ++i) {
        float bound = 0;
        if (type == DType::kF16) bound = std::abs(row[i]) * 0x1p-11f;
        if (type == DType::kBF16) bound = std::abs(row[i]) * 0x1p-8f;
        if (type == DType::kQ8_0) bound = extreme / 127 * 0.51f + extreme * 0x1p-11f;
        // Codes go from -8 to 7: what lies beyond 7.5 steps on that side is cut by up to one.
        if (type == DType::kQ4_0) bound = extreme / 8 * 1.01f;
        EXPECT_LE(std::abs(decoded[i] - row[i]), bound) << Traits(type).name << " " << i;
      }
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
  for (DType type : kTypes) {
    for (float x : RoundTrip(type, std::vector<float>(64, 0.0f))) EXPECT_EQ(x, 0.0f);
  }
}

}  // namespace
}  // namespace hearth
