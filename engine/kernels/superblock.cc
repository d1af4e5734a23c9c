#include "engine/kernels/superblock.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels {
namespace {

constexpr int64_t kSubBlocks = kSuperblock / kQuantBlock;
constexpr uint32_t kLowNibbles = 0x0f0f0f0f;
constexpr uint32_t kHighNibbles = 0xf0f0f0f0;

bool IsFiniteF16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

uint32_t Word(const void* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// F16ToF32 of finite numbers, without a branch.
float FiniteF16ToF32(uint16_t h) {
  constexpr uint32_t kBias = 112u << 23;  // by which the exponents differ
  const uint32_t magnitude = (h & 0x7fffu) << 13;
  // With the least exponent and an implied bit too much, which then goes.
  const uint32_t leading = kBias + (1u << 23);
  const float subnormal = std::bit_cast<float>(magnitude + leading) - std::bit_cast<float>(leading);
  const uint32_t bits = (h & 0x7c00) == 0 ? std::bit_cast<uint32_t>(subnormal) : magnitude + kBias;
  return std::bit_cast<float>(bits | (h & 0x8000u) << 16);
}

// ToMultiples of finite f16.
uint16_t HalvesToMultiples(const uint16_t halves[kSubBlocks], int8_t n[kSubBlocks]) {
  float values[kSubBlocks];  // by themselves, so that the compiler takes them side by side
  for (int64_t i = 0; i < kSubBlocks; ++i) values[i] = FiniteF16ToF32(halves[i]);
  return ToMultiples(values, n);
}

// Exchanges the bits at the positions of `mask` with those `shift` above.
uint32_t SwapBits(uint32_t x, uint32_t mask, int shift) {
  const uint32_t differ = (x ^ (x >> shift)) & mask;
  return x ^ differ ^ (differ << shift);
}

// Bit k = 16h + 4j + i of a file's word goes to bit 8i + 4h + j: the digits of k, in five binary
// places, turn round by two, and each step exchanges two places.
uint32_t ReorderFifthBits(uint32_t bits) {
  bits = SwapBits(bits, 0x0000cccc, 14);
  bits = SwapBits(bits, 0x00aa00aa, 7);
  bits = SwapBits(bits, 0x0c0c0c0c, 2);
  return SwapBits(bits, 0x22222222, 1);
}

// Types of 32 elements a block. Their nibbles lie as a tile's do.
template <typename Block>
bool ReadBlocks(const std::byte* row, int64_t cols, int64_t index, Superblock* out) {
  constexpr bool kHasMinimum = requires(Block b) { b.m; };
  uint16_t scales[kSubBlocks] = {};
  uint16_t minima[kSubBlocks] = {};
  const int64_t count = std::min(kSubBlocks, cols / kQuantBlock - index * kSubBlocks);
  for (int64_t b = 0; b < count; ++b) {
    // Not by way of a Block: what is stored in two parts and read across them waits for both.
    const std::byte* block = row + (index * kSubBlocks + b) * sizeof(Block);
    std::memcpy(&scales[b], block + offsetof(Block, d), 2);
    if constexpr (kHasMinimum) std::memcpy(&minima[b], block + offsetof(Block, m), 2);
    if (!IsFiniteF16(scales[b]) || !IsFiniteF16(minima[b])) return false;
    std::memcpy(out->nibbles + 4 * b, block + offsetof(Block, q), sizeof(Block::q));
    if constexpr (requires(Block b) { b.high; }) {
      out->high_bits[b] = ReorderFifthBits(Word(block + offsetof(Block, high)));
    }
  }
  std::fill(out->nibbles + 4 * count, std::end(out->nibbles), 0);
  if constexpr (requires(Block b) { b.high; }) {
    std::fill(out->high_bits + count, out->high_bits + kSubBlocks, 0);
  }
  out->scale = HalvesToMultiples(scales, out->multipliers);
  if (kHasMinimum) out->minimum_scale = HalvesToMultiples(minima, out->minima);
  return true;
}

// The low and the high nibbles of 32 bytes, each those of 32 elements in order, become two
// sub-blocks of a tile.
void SplitNibbles(const uint8_t q[32], uint32_t low[4], uint32_t high[4]) {
  for (int j = 0; j < 4; ++j) {
    const uint32_t first = Word(q + 4 * j);
    const uint32_t second = Word(q + 16 + 4 * j);
    low[j] = (first & kLowNibbles) | (second & kLowNibbles) << 4;
    high[j] = (first >> 4 & kLowNibbles) | (second & kHighNibbles);
  }
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
    SplitNibbles(block.q + pair * 32, out->nibbles + pair * 8, out->nibbles + pair * 8 + 4);
  }
  if constexpr (requires { block.high; }) {
    for (int b = 0; b < kSubBlocks; ++b) {
      out->high_bits[b] = 0;
      for (int j = 0; j < 8; ++j) {
        out->high_bits[b] |= (Word(block.high + 4 * j) >> b & 0x01010101) << j;
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
    uint32_t* nibbles = out->nibbles + half * 16;
    for (int pair = 0; pair < 2; ++pair) {
      SplitNibbles(block.q + half * 64 + pair * 32, nibbles + pair * 4, nibbles + 8 + pair * 4);
    }
    for (int b = 0; b < 4; ++b) {
      uint32_t* high_bits = out->high_bits + half * 8 + b * 2;
      high_bits[0] = high_bits[1] = 0;
      for (int j = 0; j < 4; ++j) {
        const uint8_t* high = block.high + half * 32 + 4 * j;
        high_bits[0] |= (Word(high) >> (2 * b) & 0x03030303) << (2 * j);
        high_bits[1] |= (Word(high + 16) >> (2 * b) & 0x03030303) << (2 * j);
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
