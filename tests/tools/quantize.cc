#include "tests/tools/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth {
namespace {

constexpr size_t kBlock = 32;

// To the nearest integer, halves to even, for |x| < 2^22.
int32_t Round(float x) {
  const float rounded = (x + 0x1.8p+23f) - 0x1.8p+23f;
  return static_cast<int32_t>(rounded);
}

// The scale maps the value of largest magnitude to -8, the one code without a counterpart.
BlockQ4_0 EncodeQ4_0(const float* x) {
  float extreme = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    if (std::abs(x[i]) > std::abs(extreme)) extreme = x[i];
  }
  const float scale = extreme / -8.0f;
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  const auto code = [inverse](float value) {
    return static_cast<uint8_t>(std::clamp(Round(value * inverse) + 8, 0, 15));
  };
  BlockQ4_0 block;
  block.d = F32ToF16(scale);
  for (size_t i = 0; i < kBlock / 2; ++i) {
    block.q[i] = static_cast<uint8_t>(code(x[i]) | (code(x[i + kBlock / 2]) << 4));
  }
  return block;
}

BlockQ8_0 EncodeQ8_0(const float* x) {
  float largest = 0;
  for (size_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::abs(x[i]));
  const float scale = largest / 127.0f;
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  BlockQ8_0 block;
  block.d = F32ToF16(scale);
  for (size_t i = 0; i < kBlock; ++i) {
    block.q[i] = static_cast<int8_t>(std::clamp(Round(x[i] * inverse), -127, 127));
  }
  return block;
}

struct Range {
  float min, max;
};

Range RangeOf(const float* x, size_t n) {
  const auto [min, max] = std::minmax_element(x, x + n);
  return {*min, *max};
}

// The value of largest magnitude.
float Extreme(const float* x, size_t n) {
  return *std::max_element(x, x + n, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

uint8_t Code(float x, float scale, int offset, int largest) {
  const float code = scale == 0 ? 0.0f : x / scale;
  return static_cast<uint8_t>(
      std::clamp(Round(std::clamp(code, -1e6f, 1e6f)) + offset, 0, largest));
}

void SetCode(BlockQ4_1& block, size_t k, uint8_t code) {
  block.q[k % 16] = static_cast<uint8_t>(block.q[k % 16] | code << (k / 16 * 4));
}

// Q5_0 and Q5_1.
template <typename Block>
void SetFiveBits(Block& block, size_t k, uint8_t code) {
  block.q[k % 16] = static_cast<uint8_t>(block.q[k % 16] | (code & 15) << (k / 16 * 4));
  block.high[k / 8] = static_cast<uint8_t>(block.high[k / 8] | code >> 4 << (k % 8));
}

BlockQ4_1 EncodeQ4_1(const float* x) {
  const Range range = RangeOf(x, kBlock);
  BlockQ4_1 block = {};
  block.d = F32ToF16((range.max - range.min) / 15);
  block.m = F32ToF16(range.min);
  for (size_t k = 0; k < kBlock; ++k) {
    SetCode(block, k, Code(x[k] - F16ToF32(block.m), F16ToF32(block.d), 0, 15));
  }
  return block;
}

BlockQ5_0 EncodeQ5_0(const float* x) {
  BlockQ5_0 block = {};
  block.d = F32ToF16(Extreme(x, kBlock) / -16);
  for (size_t k = 0; k < kBlock; ++k) {
    SetFiveBits(block, k, Code(x[k], F16ToF32(block.d), 16, 31));
  }
  return block;
}

BlockQ5_1 EncodeQ5_1(const float* x) {
  const Range range = RangeOf(x, kBlock);
  BlockQ5_1 block = {};
  block.d = F32ToF16((range.max - range.min) / 31);
  block.m = F32ToF16(range.min);
  for (size_t k = 0; k < kBlock; ++k) {
    SetFiveBits(block, k, Code(x[k] - F16ToF32(block.m), F16ToF32(block.d), 0, 31));
  }
  return block;
}

uint8_t SixBitScale(const uint8_t scales[12], int b) {
  return b < 4 ? scales[b] & 63
               : static_cast<uint8_t>((scales[b + 4] & 15) | scales[b - 4] >> 6 << 4);
}

uint8_t SixBitMinimum(const uint8_t scales[12], int b) {
  return b < 4 ? scales[b + 4] & 63
               : static_cast<uint8_t>(scales[b + 4] >> 4 | scales[b] >> 6 << 4);
}

void SetSixBits(uint8_t scales[12], int b, uint8_t scale, uint8_t minimum) {
  const auto add = [scales](int i, int bits) {
    scales[i] = static_cast<uint8_t>(scales[i] | bits);
  };
  if (b < 4) {
    add(b, scale);
    add(b + 4, minimum);
  } else {
    add(b + 4, (scale & 15) | (minimum & 15) << 4);
    add(b - 4, scale >> 4 << 6);
    add(b, minimum >> 4 << 6);
  }
}

// Q4_K and Q5_K: scales and minima of the sub-blocks first, in six bits; then codes of what these
// stand for.
template <typename Block>
Block EncodeTwoLevel(const float* x) {
  constexpr bool kFiveBits = requires(Block b) { b.high; };
  constexpr int kLargest = kFiveBits ? 31 : 15;
  float steps[8], minima[8];
  for (int b = 0; b < 8; ++b) {
    const Range range = RangeOf(x + b * kBlock, kBlock);
    minima[b] = std::max(0.0f, -range.min);
    steps[b] = (std::max(range.max, 0.0f) + minima[b]) / kLargest;
  }
  Block block = {};
  block.d = F32ToF16(*std::max_element(steps, steps + 8) / 63);
  block.dmin = F32ToF16(*std::max_element(minima, minima + 8) / 63);
  for (int b = 0; b < 8; ++b) {
    const uint8_t scale = Code(steps[b], F16ToF32(block.d), 0, 63);
    const uint8_t minimum = Code(minima[b], F16ToF32(block.dmin), 0, 63);
    SetSixBits(block.scales, b, scale, minimum);
    for (size_t l = 0; l < kBlock; ++l) {
      const float above = x[b * kBlock + l] + F16ToF32(block.dmin) * minimum;
      const uint8_t code = Code(above, F16ToF32(block.d) * scale, 0, kLargest);
      uint8_t& byte = block.q[b / 2 * kBlock + l];
      byte = static_cast<uint8_t>(byte | (code & 15) << (b % 2 * 4));
      if constexpr (kFiveBits) {
        block.high[l] = static_cast<uint8_t>(block.high[l] | code >> 4 << b);
      }
    }
  }
  return block;
}

BlockQ6_K EncodeQ6_K(const float* x) {
  float steps[16];
  for (int i = 0; i < 16; ++i) steps[i] = Extreme(x + i * 16, 16) / -32;
  BlockQ6_K block = {};
  block.d = F32ToF16(Extreme(steps, 16) / -128);
  for (int i = 0; i < 16; ++i) {
    block.scales[i] = static_cast<int8_t>(Code(steps[i], F16ToF32(block.d), 128, 255) - 128);
  }
  for (size_t k = 0; k < 256; ++k) {
    const uint8_t code = Code(x[k], F16ToF32(block.d) * block.scales[k / 16], 32, 63);
    const size_t half = k / 128, j = k % 128 / 32, l = k % 32;
    uint8_t& low = block.q[half * 64 + j % 2 * 32 + l];
    uint8_t& high = block.high[half * 32 + l];
    low = static_cast<uint8_t>(low | (code & 15) << (j / 2 * 4));
    high = static_cast<uint8_t>(high | code >> 4 << (2 * j));
  }
  return block;
}

// What element k of a block stands for.
int Nibble(const uint8_t q[16], size_t k) { return k < 16 ? q[k] & 15 : q[k - 16] >> 4; }
int FifthBit(const uint8_t high[4], size_t k) { return (high[k / 8] >> (k % 8) & 1) << 4; }

float Decoded(const BlockQ8_0& block, size_t k) {
  return F16ToF32(block.d) * static_cast<float>(block.q[k]);
}
float Decoded(const BlockQ4_0& block, size_t k) {
  return F16ToF32(block.d) * static_cast<float>(Nibble(block.q, k) - 8);
}
float Decoded(const BlockQ4_1& block, size_t k) {
  return F16ToF32(block.d) * static_cast<float>(Nibble(block.q, k)) + F16ToF32(block.m);
}
float Decoded(const BlockQ5_0& block, size_t k) {
  const int code = Nibble(block.q, k) | FifthBit(block.high, k);
  return F16ToF32(block.d) * static_cast<float>(code - 16);
}
float Decoded(const BlockQ5_1& block, size_t k) {
  const int code = Nibble(block.q, k) | FifthBit(block.high, k);
  return F16ToF32(block.d) * static_cast<float>(code) + F16ToF32(block.m);
}

template <typename Block>
float DecodedTwoLevel(const Block& block, size_t k, int fifth_bit) {
  const int b = static_cast<int>(k / 32);
  const uint8_t byte = block.q[k / 64 * 32 + k % 32];
  const int code = (b % 2 == 0 ? byte & 15 : byte >> 4) | fifth_bit << 4;
  const float scale = F16ToF32(block.d) * SixBitScale(block.scales, b);
  return scale * static_cast<float>(code) - F16ToF32(block.dmin) * SixBitMinimum(block.scales, b);
}
float Decoded(const BlockQ4_K& block, size_t k) { return DecodedTwoLevel(block, k, 0); }
float Decoded(const BlockQ5_K& block, size_t k) {
  return DecodedTwoLevel(block, k, block.high[k % 32] >> (k / 32) & 1);
}
float Decoded(const BlockQ6_K& block, size_t k) {
  const size_t half = k / 128, j = k % 128 / 32, l = k % 32;
  const uint8_t low = block.q[half * 64 + j % 2 * 32 + l];
  const int code = (j < 2 ? low & 15 : low >> 4) | (block.high[half * 32 + l] >> (2 * j) & 3) << 4;
  return F16ToF32(block.d) * block.scales[k / 16] * static_cast<float>(code - 32);
}

// One element (a block or a number) after the other; `step` floats each.
template <typename Encode>
void EncodeEach(absl::Span<const float> values, size_t step, std::byte* out, Encode encode) {
  for (size_t i = 0; i < values.size(); i += step) {
    const auto element = encode(&values[i]);
    std::memcpy(out, &element, sizeof(element));
    out += sizeof(element);
  }
}

template <typename Block>
void DecodeBlocks(const std::byte* row, size_t step, absl::Span<float> values) {
  for (size_t i = 0; i < values.size(); i += step) {
    Block block;
    std::memcpy(&block, row, sizeof(block));
    row += sizeof(block);
    for (size_t k = 0; k < step; ++k) values[i + k] = Decoded(block, k);
  }
}

template <typename Widen>
void DecodeHalves(const std::byte* row, absl::Span<float> values, Widen widen) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, row + i * sizeof(half), sizeof(half));
    values[i] = widen(half);
  }
}

}  // namespace

std::map<std::string, DType> EncodableTypes() {
  std::map<std::string, DType> types;
  for (DType type : kDTypes) {
    types.emplace(Traits(type).name, type);
  }
  return types;
}

void EncodeRow(DType type, absl::Span<const float> values, std::byte* out) {
  switch (type) {
    case DType::kF32:
      std::memcpy(out, values.data(), values.size() * sizeof(float));
      return;
    case DType::kF16:
      return EncodeEach(values, 1, out, [](const float* x) { return F32ToF16(*x); });
    case DType::kBF16:
      return EncodeEach(values, 1, out, [](const float* x) { return F32ToBF16(*x); });
    case DType::kQ8_0:
      return EncodeEach(values, kBlock, out, EncodeQ8_0);
    case DType::kQ4_0:
      return EncodeEach(values, kBlock, out, EncodeQ4_0);
    case DType::kQ4_1:
      return EncodeEach(values, kBlock, out, EncodeQ4_1);
    case DType::kQ5_0:
      return EncodeEach(values, kBlock, out, EncodeQ5_0);
    case DType::kQ5_1:
      return EncodeEach(values, kBlock, out, EncodeQ5_1);
    case DType::kQ4_K:
      return EncodeEach(values, 256, out, EncodeTwoLevel<BlockQ4_K>);
    case DType::kQ5_K:
      return EncodeEach(values, 256, out, EncodeTwoLevel<BlockQ5_K>);
    case DType::kQ6_K:
      return EncodeEach(values, 256, out, EncodeQ6_K);
  }
}

void DecodeRow(DType type, const std::byte* row, absl::Span<float> values) {
  switch (type) {
    case DType::kF32:
      std::memcpy(values.data(), row, values.size() * sizeof(float));
      return;
    case DType::kF16:
      return DecodeHalves(row, values, F16ToF32);
    case DType::kBF16:
      return DecodeHalves(row, values, BF16ToF32);
    case DType::kQ8_0:
      return DecodeBlocks<BlockQ8_0>(row, kBlock, values);
    case DType::kQ4_0:
      return DecodeBlocks<BlockQ4_0>(row, kBlock, values);
    case DType::kQ4_1:
      return DecodeBlocks<BlockQ4_1>(row, kBlock, values);
    case DType::kQ5_0:
      return DecodeBlocks<BlockQ5_0>(row, kBlock, values);
    case DType::kQ5_1:
      return DecodeBlocks<BlockQ5_1>(row, kBlock, values);
    case DType::kQ4_K:
      return DecodeBlocks<BlockQ4_K>(row, 256, values);
    case DType::kQ5_K:
      return DecodeBlocks<BlockQ5_K>(row, 256, values);
    case DType::kQ6_K:
      return DecodeBlocks<BlockQ6_K>(row, 256, values);
  }
}

}  // namespace hearth
