// How weights lie in memory: one packed layout, which every instruction set reads.
#ifndef HEARTH_ENGINE_KERNELS_LAYOUT_H_
#define HEARTH_ENGINE_KERNELS_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

inline constexpr int64_t kTileRows = 16;          // output rows of one weight tile
inline constexpr int64_t kQuantBlock = 32;        // elements that share a scale, or a multiplier
inline constexpr int64_t kSuperblock = 256;       // weights of an Int format that share a scale
inline constexpr int64_t kActivationBlock = 128;  // activations that share one, for these

constexpr int64_t Tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
constexpr int64_t Superblocks(int64_t cols) { return (cols + kSuperblock - 1) / kSuperblock; }

// Of the bytes that packing makes of a file's: raised whenever they change, for they are kept in
// files. tests/kernels/packing_test.cc holds their hashes.
inline constexpr uint32_t kPackingVersion = 2;

// Packed weights: consecutive output rows, in tiles of kTileRows whose missing rows are zeros. A
// tile starts at a multiple of 64 bytes and holds, k ascending,
//   F32, F16, BF16  [cols][16 rows] elements;
//   Q8_0            [cols/4][16 rows][4] int8, then [cols/32][16 rows] f16 scales;
//   Int...          superblocks of 256 k, each
//     [8][4][16 rows][4]  bytes. Byte i of group j of sub-block b has the low four bits of the code
//                         of k = 32b + 4j + i (low nibble) and of k = 32b + 16 + 4j + i (high).
//     [8][16 rows] u32    Int5, Int5Min: the fifth bits of sub-block b. Bit 8i + j belongs to the
//                         low nibble of byte i of group j, bit 8i + 4 + j to the high one.
//     [8][2][16 rows] u32 Int6: the fifth and sixth bits, of low nibbles and of high ones. Bits
//                         8i + 2j and 8i + 2j + 1 belong to byte i of group j.
//     [8][16 rows] int8   multipliers n of sub-blocks; Int6: [8][2][16 rows], of each 16 k.
//     [4][16 rows][2]     Int4Min, Int5Min: int8 minima m of sub-blocks 2i and 2i + 1.
//   then [superblocks][16 rows] f16 scales D; then, for Int4Min and Int5Min, as many f16 scales M.
//   Weight k of a row is D * n * (code - offset), or D * n * code + M * m. Beyond cols, n and m are
//   zero.
// So 16 lanes are 16 outputs, and a lane's four bytes are four consecutive k.
enum class Packing : uint8_t { kF32, kF16, kBF16, kQ8_0, kInt4, kInt4Min, kInt5, kInt5Min, kInt6 };

// Whether it is one of the Int formats.
constexpr bool IsSuper(Packing packing) { return packing >= Packing::kInt4; }

// Where the parts of a superblock of an Int format are.
struct SuperLayout {
  int32_t offset;               // of codes
  int32_t high_bits;            // of a code beyond four
  int32_t multiplier_elements;  // that share a multiplier
  bool minima;

  static constexpr int64_t kNibbleBytes = kSuperblock / 2 * kTileRows;
  constexpr int64_t multipliers_at() const {
    return kNibbleBytes + kSuperblock / 8 * high_bits * kTileRows;
  }
  constexpr int64_t minima_at() const {
    return multipliers_at() + kSuperblock / multiplier_elements * kTileRows;
  }
  constexpr int64_t bytes() const {
    return minima_at() + (minima ? kSuperblock / kQuantBlock * kTileRows : 0);
  }
  // Of a superblock's share in the arrays of scales.
  constexpr int64_t scale_bytes() const { return (minima ? 2 : 1) * 2 * kTileRows; }
};

// REQUIRES: IsSuper(packing).
constexpr SuperLayout LayoutOf(Packing packing) {
  switch (packing) {
    case Packing::kInt4:
      return {8, 0, 32, false};
    case Packing::kInt4Min:
      return {0, 0, 32, true};
    case Packing::kInt5:
      return {16, 1, 32, false};
    case Packing::kInt5Min:
      return {0, 1, 32, true};
    case Packing::kInt6:
      return {32, 2, 16, false};
    default:
      return {};
  }
}

constexpr size_t RoundUpToLine(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes of one tile.
constexpr size_t TileBytes(Packing packing, int64_t cols) {
  switch (packing) {
    case Packing::kF32:
      return RoundUpToLine(kTileRows * cols * 4);
    case Packing::kF16:
    case Packing::kBF16:
      return RoundUpToLine(kTileRows * cols * 2);
    case Packing::kQ8_0:
      return RoundUpToLine(kTileRows * (cols + cols / kQuantBlock * 2));
    default: {
      const SuperLayout layout = LayoutOf(packing);
      return RoundUpToLine(Superblocks(cols) * (layout.bytes() + layout.scale_bytes()));
    }
  }
}

// A block of kBlockTokens positions of one head as the int8 cache holds it, kv_store.h's
//   keys    [ceil(head_dim/4)][32 positions][4]: byte i of group g is element 4g + i of the key,
//           zero beyond head_dim;
//   values  [8][head_dim][4]: byte i of group g is the element of the value at position 4g + i.
// So a lane's four bytes are what one dot multiplies, and lanes are outputs: positions of scores,
// elements of values.
inline constexpr int64_t kCacheBlock = 32;
constexpr int64_t PaddedHead(int64_t head_dim) { return (head_dim + 3) / 4 * 4; }
constexpr int64_t KeyIndex(int64_t position, int64_t element) {
  return (element / 4 * kCacheBlock + position) * 4 + element % 4;
}
constexpr int64_t ValueIndex(int64_t position, int64_t element, int64_t head_dim) {
  return (position / 4 * head_dim + element) * 4 + position % 4;
}

struct PackedRows {
  const std::byte* tiles;
  int64_t rows;  // a multiple of 16 except at the matrix's end
  int64_t cols;  // all but plain types: a multiple of 32
};

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_LAYOUT_H_
