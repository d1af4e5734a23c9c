// Superblocks of the Int formats (layout.h), one row of one at a time.
#ifndef HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_
#define HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/tensor/dtype.h"

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

// The Int format that holds a quantised type.
constexpr bool IsSuper(DType dtype) { return IsQuantized(dtype) && dtype != DType::kQ8_0; }

// Reads superblock `index` of a row as stored in a file, perhaps unaligned. Types of 256 elements a
// block are taken as they are. Types of 32 have a scale for each (and Q4_1 and Q5_1 a minimum),
// which become multiples n of a common one: D is the least f16 with max |d| <= 127 D, and n is
// the integer nearest to d / D, ties to even. False when a scale is NaN or infinite. Writes what
// the type's packing has and no more.
// REQUIRES: IsSuper(dtype); cols is a multiple of the block.
bool ReadSuperblock(DType dtype, const std::byte* row, int64_t cols, int64_t index,
                    Superblock* out);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_SUPERBLOCK_H_
