// Superblocks of the Int formats (layout.h), one row of one at a time.
#ifndef HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_
#define HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels {

// One row's share of a superblock as it lies in a tile, element by element.
template <Packing kPacking>
struct PackedSuperblock {
  static constexpr SuperLayout kLayout = LayoutOf(kPacking);
  const std::byte* at;
  int64_t lane;

  int32_t Code(int64_t k) const {  // less its offset
    const int64_t b = k / 32, half = k % 32 / 16, j = k % 16 / 4, i = k % 4;
    const int32_t nibbles = static_cast<int32_t>(at[((b * 4 + j) * kTileRows + lane) * 4 + i]);
    int32_t code = half == 0 ? nibbles & 15 : nibbles >> 4;
    if (kLayout.high_bits == 1) code |= HighBits(b, 8 * i + 4 * half + j, 1);
    if (kLayout.high_bits == 2) code |= HighBits(2 * b + half, 8 * i + 2 * j, 3);
    return code - kLayout.offset;
  }

  int32_t Multiplier(int64_t k) const {
    return Int8(kLayout.multipliers_at() + k / kLayout.multiplier_elements * kTileRows + lane);
  }

  int32_t Minimum(int64_t b) const {
    return Int8(kLayout.minima_at() + (b / 2 * kTileRows + lane) * 2 + b % 2);
  }

 private:
  int32_t HighBits(int64_t index, int64_t shift, uint32_t mask) const {
    uint32_t word;
    std::memcpy(&word, at + kLayout.kNibbleBytes + (index * kTileRows + lane) * 4, sizeof(word));
    return static_cast<int32_t>((word >> shift & mask) << 4);
  }
  int32_t Int8(int64_t index) const { return static_cast<int8_t>(at[index]); }
};

// One row's share of a superblock as a tile will hold it: words and bytes of layout.h that lanes
// of other rows go between.
struct Superblock {
  uint32_t nibbles[32];    // group j of sub-block b is 4b + j
  uint32_t high_bits[16];  // Int5, Int5Min: of sub-block b; Int6: its low nibbles' are 2b
  int8_t multipliers[16];  // the first half only where 32 elements share one
  int8_t minima[8];        // of the Min formats
  uint16_t scale;          // f16
  uint16_t minimum_scale;  // f16, of the Min formats
};

// Makes each value a multiple n[i] of D, which is returned: D is the least f16 with max |value| <=
// 127 D, and n[i] the integer nearest to value / D, ties to even. REQUIRES: the values are finite,
// and D does not overflow.
template <size_t kCount>
uint16_t ToMultiples(const float (&values)[kCount], int8_t n[kCount]) {
  uint32_t magnitude = 0;
  for (const float value : values) {
    magnitude = std::max(magnitude, std::bit_cast<uint32_t>(value) & 0x7fffffffu);
  }
  const float max = std::bit_cast<float>(magnitude);
  uint16_t unit = F32ToF16(max / 127.0f);
  if (F16ToF32(unit) * 127.0f < max) ++unit;  // the f16 above
  const float d = unit == 0 ? 1.0f : F16ToF32(unit);
  // The sum has no bits for a fraction: it is rounded to the nearest, ties to even, and its low
  // bits are the integer.
  float shifted[kCount];
  for (size_t i = 0; i < kCount; ++i) shifted[i] = values[i] / d + 0x1.8p+23f;
  for (size_t i = 0; i < kCount; ++i) {
    n[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(shifted[i]));
  }
  return unit;
}

// Reads superblock `index` of a row as stored in a file, perhaps unaligned. Types of 256 elements a
// block are taken as they are. Types of 32 have a scale for each (and Q4_1 a minimum), which become
// multiples of a common one (ToMultiples). False when a scale is NaN or infinite. Writes what the
// type's packing has and no more.
// REQUIRES: IsSuper(PackingOf(dtype)); cols is a multiple of the block.
bool ReadSuperblock(DType dtype, const std::byte* row, int64_t cols, int64_t index,
                    Superblock* out);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_
