#include "tests/tools/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
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

// A block of bytes (37 i + 11) mod 256 but for its f16 scales, and what the gguf Python package
// (0.19.0, quants.dequantize) makes of it: some elements, their sum, and the sum of each times its
// place counted from 1.
struct Fixture {
  DType type;
  std::vector<size_t> scales_at;  // of 0.75, then of 0.5
  std::array<float, 8> some;
  double sum;
  double weighted_sum;
};

TEST(QuantizeTest, DecodesAsAnIndependentReaderDoes) {
  const std::vector<Fixture> fixtures = {
      {DType::kQ8_0, {0}, {63.75, 91.5, 10.5, -42.75, -68.25, 70.5, -96, -36}, -132, -6060},
      {DType::kQ4_0, {0}, {-2.25, 1.5, 4.5, -0.75, -2.25, -6, -6, 0}, -15.75, -388.5},
      {DType::kQ4_1, {0, 2}, {11.75, 3.5, 6.5, 1.25, 7.25, 4.25, 8, 9.5}, 199.75, 3251.25},
      {DType::kQ5_0, {0}, {6.75, -1.5, -10.5, -3.75, 10.5, -4.5, -9, 0.75}, 11.25, 84},
      {DType::kQ5_1, {0, 2}, {14.75, 18.5, 9.5, 16.25, 14.75, 23, 23, 4.25}, 394.75, 6189.75},
      {DType::kQ4_K, {0, 2}, {230.25, -25.5, 67.5, 123.25, 315.75, 525, 9.5, 32}, 39774, 5560702},
      {DType::kQ5_K, {0, 2}, {602.25, -25.5, 67.5, 615.25, 783.75, 255, 54.5, 77}, 86106, 11901658},
      {DType::kQ6_K,
       {208},
       {-1073.25, 1272, 1113, -783.75, -263.25, -1464, 528.75, -45},
       3459,
       588315},
  };
  for (const Fixture& fixture : fixtures) {
    const size_t elements = Traits(fixture.type).block_elements;
    std::vector<std::byte> block(Traits(fixture.type).block_bytes);
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(i * 37 + 11);
    for (size_t i = 0; i < fixture.scales_at.size(); ++i) {
      const uint16_t scale = F32ToF16(i == 0 ? 0.75f : 0.5f);
      std::memcpy(&block[fixture.scales_at[i]], &scale, sizeof(scale));
    }
    std::vector<float> values(elements);
    DecodeRow(fixture.type, block.data(), absl::MakeSpan(values));
    const std::array<size_t, 8> places = {0,
                                          1,
                                          5,
                                          elements / 4 + 2,
                                          elements / 2,
                                          elements / 2 + elements / 8 + 1,
                                          elements - 17,
                                          elements - 1};
    for (size_t i = 0; i < places.size(); ++i) {
      EXPECT_EQ(values[places[i]], fixture.some[i]) << Traits(fixture.type).name << " " << i;
    }
    double sum = 0, weighted_sum = 0;
    for (size_t i = 0; i < elements; ++i) {
      sum += values[i];
      weighted_sum += static_cast<double>(i + 1) * values[i];
    }
    EXPECT_EQ(sum, fixture.sum) << Traits(fixture.type).name;
    EXPECT_EQ(weighted_sum, fixture.weighted_sum) << Traits(fixture.type).name;
  }
}

TEST(QuantizeTest, ZerosStayZeros) {
  for (DType type : kDTypes) {
    for (float x : RoundTrip(type, std::vector<float>(256, 0.0f))) EXPECT_EQ(x, 0.0f);
  }
}

}  // namespace
}  // namespace hearth
