#include "engine/kernels/superblock.h"

#include <algorithm>
#include <cmath>

#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels {
namespace {

constexpr int64_t kSubBlocks = kSuperblock / kQuantBlock;

bool IsFiniteF16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

// n[i] * D for each of values[i], which are f16; returns D.
uint16_t ToMultiples(const uint16_t values[kSubBlocks], int8_t n[kSubBlocks]) {
  float max = 0.0f;
  for (int64_t i = 0; i < kSubBlocks; ++i) max = std::max(max, std::abs(F16ToF32(values[i])));
  uint16_t unit = F32ToF16(max / 127.0f);
  if (F16ToF32(unit) * 127.0f < max) ++unit;  // the f16 above
  const float d = F16ToF32(unit);
  for (int64_t i = 0; i < kSubBlocks; ++i) {
    n[i] = d == 0.0f ? int8_t{0} : static_cast<int8_t>(std::nearbyint(F16ToF32(values[i]) / d));
  }
  return unit;
}

// The low four bits of 32 codes in order.
void ReadNibbles(const uint8_t q[16], uint8_t codes[32]) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = q[i] & 15;
    codes[16 + i] = q[i] >> 4;
  }
}

void AddFifthBits(const uint8_t high[4], uint8_t codes[32]) {
  for (int k = 0; k < 32; ++k) {
    codes[k] = static_cast<uint8_t>(codes[k] | (high[k / 8] >> (k % 8) & 1) << 4);
  }
}

// Types of 32 elements a block.
template <typename Block>
bool ReadBlocks(const std::byte* row, int64_t cols, int64_t index, Superblock* out) {
  constexpr bool kHasMinimum = requires(Block b) { b.m; };
  uint16_t scales[kSubBlocks] = {};
  uint16_t minima[kSubBlocks] = {};
  const int64_t count = std::min(kSubBlocks, cols / kQuantBlock - index * kSubBlocks);
  for (int64_t b = 0; b < count; ++b) {
    Block block;
    std::memcpy(&block, row + (index * kSubBlocks + b) * sizeof(Block), sizeof(Block));
    scales[b] = block.d;
    if constexpr (kHasMinimum) minima[b] = block.m;
    if (!IsFiniteF16(scales[b]) || !IsFiniteF16(minima[b])) return false;
    ReadNibbles(block.q, out->codes + b * kQuantBlock);
    if constexpr (requires { block.high; }) {
      AddFifthBits(block.high, out->codes + b * kQuantBlock);
    }
  }
  std::fill(out->codes + count * kQuantBlock, out->codes + kSuperblock, uint8_t{0});
  out->scale = ToMultiples(scales, out->multipliers);
  if (kHasMinimum) out->minimum_scale = ToMultiples(minima, out->minima);
  return true;
}

// Q4_K and Q5_K.
template <typename Block>
bool ReadTwoLevel(const std::byte* row, int64_t index, Superblock* out) {
  Block block;
  std::memcpy(&block, row + index * sizeof(Block), sizeof(Block));
  for (int b = 0; b < 4; ++b) {
    out->multipliers[b] = block.scales[b] & 63;
    out->minima[b] = block.scales[b + 4] & 63;
    out->multipliers[b + 4] =
        static_cast<int8_t>((block.scales[b + 8] & 15) | (block.scales[b] >> 6) << 4);
    out->minima[b + 4] =
        static_cast<int8_t>((block.scales[b + 8] >> 4) | (block.scales[b + 4] >> 6) << 4);
  }
  for (int pair = 0; pair < 4; ++pair) {
    uint8_t* codes = out->codes + pair * 64;
    const uint8_t* q = block.q + pair * 32;
    for (int l = 0; l < 32; ++l) {
      codes[l] = q[l] & 15;
      codes[32 + l] = q[l] >> 4;
    }
    if constexpr (requires { block.high; }) {
      for (int l = 0; l < 32; ++l) {
        codes[l] = static_cast<uint8_t>(codes[l] | (block.high[l] >> (2 * pair) & 1) << 4);
        codes[32 + l] =
            static_cast<uint8_t>(codes[32 + l] | (block.high[l] >> (2 * pair + 1) & 1) << 4);
      }
    }
  }
  out->scale = block.d;
  out->minimum_scale = block.dmin ^ 0x8000;  // the file's minima are subtracted
  return IsFiniteF16(block.d) && IsFiniteF16(block.dmin);
}

bool ReadQ6_K(const std::byte* row, int64_t index, Superblock* out) {
  BlockQ6_K block;
  std::memcpy(&block, row + index * sizeof(block), sizeof(block));
  std::memcpy(out->multipliers, block.scales, sizeof(block.scales));
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      uint8_t* codes = out->codes + half * 128 + j * 32;
      const uint8_t* q = block.q + half * 64 + j % 2 * 32;
      const uint8_t* high = block.high + half * 32;
      for (int l = 0; l < 32; ++l) {
        const int low = j < 2 ? q[l] & 15 : q[l] >> 4;
        codes[l] = static_cast<uint8_t>(low | (high[l] >> (2 * j) & 3) << 4);
      }
    }
  }
  out->scale = block.d;
  return IsFiniteF16(block.d);
}

}  // namespace

bool ReadSuperblock(DType dtype, const std::byte* row, int64_t cols, int64_t index,
                    Superblock* out) {
  switch (dtype) {
    case DType::kQ4_0:
      return ReadBlocks<BlockQ4_0>(row, cols, index, out);
    case DType::kQ4_1:
      return ReadBlocks<BlockQ4_1>(row, cols, index, out);
    case DType::kQ5_0:
      return ReadBlocks<BlockQ5_0>(row, cols, index, out);
    case DType::kQ5_1:
      return ReadBlocks<BlockQ5_1>(row, cols, index, out);
    case DType::kQ4_K:
      return ReadTwoLevel<BlockQ4_K>(row, index, out);
    case DType::kQ5_K:
      return ReadTwoLevel<BlockQ5_K>(row, index, out);
    case DType::kQ6_K:
      return ReadQ6_K(row, index, out);
    default:
      return false;
  }
}

}  // namespace hearth::kernels
