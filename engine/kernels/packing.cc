#include "engine/kernels/packing.h"

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "engine/kernels/superblock.h"
#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels {
namespace {

constexpr uint16_t kF16Exponent = 0x7c00;
constexpr uint16_t kBF16Exponent = 0x7f80;
constexpr uint32_t kF32Exponent = 0x7f800000;

template <typename T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// All bits of the exponent set: NaN or infinite.
template <typename T>
bool IsFinite(T bits, T exponent) {
  return (bits & exponent) != exponent;
}

// Sixteen rows side by side. Missing ones read the same zeros over and over.
struct Columns {
  Columns(const std::byte* const rows[kTileRows], const std::byte* zeros, size_t step) {
    for (int64_t r = 0; r < kTileRows; ++r) {
      row[r] = rows[r] == nullptr ? zeros : rows[r];
      stride[r] = rows[r] == nullptr ? 0 : step;
    }
  }
  const std::byte* row[kTileRows];
  size_t stride[kTileRows];
};

template <typename T>
bool PackPlain(const std::byte* const rows[kTileRows], int64_t cols, T exponent, std::byte* tile) {
  // A cache line of every row at a time: rows a power of two apart share a few cache sets.
  constexpr int64_t kStrip = 64 / sizeof(T);
  static constexpr std::byte kZeros[sizeof(T)] = {};
  const Columns from(rows, kZeros, sizeof(T));
  bool finite = true;
  for (int64_t begin = 0; begin < cols; begin += kStrip) {
    const int64_t count = cols - begin < kStrip ? cols - begin : kStrip;
    T strip[kStrip][kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) {
      for (int64_t k = 0; k < count; ++k) {
        strip[k][r] = Load<T>(from.row[r] + (begin + k) * from.stride[r]);
        finite &= IsFinite(strip[k][r], exponent);
      }
    }
    std::memcpy(tile + begin * sizeof(strip[0]), strip, count * sizeof(strip[0]));
  }
  return finite;
}

// A block of Q5_1 by its weights. False when its scale or minimum is NaN or infinite.
bool ToQ8_0(const std::byte* from, BlockQ8_0* to) {
  const BlockQ5_1 block = Load<BlockQ5_1>(from);
  const uint32_t high = Load<uint32_t>(reinterpret_cast<const std::byte*>(block.high));
  const float d = F16ToF32(block.d);
  const float m = F16ToF32(block.m);
  float weights[kQuantBlock];
  for (int k = 0; k < kQuantBlock; ++k) {
    const uint32_t nibble = block.q[k % 16] >> (k / 16 * 4) & 15;
    weights[k] = d * static_cast<float>(nibble | (high >> k & 1) << 4) + m;
  }
  const bool finite = IsFinite(block.d, kF16Exponent) && IsFinite(block.m, kF16Exponent);
  if (finite) to->d = ToMultiples(weights, to->q);
  return finite;
}

// A block is a f16 scale and 32 quants: eight groups of four bytes, which move to [group][row]
// unchanged. Blocks of Q5_1 become such ones first.
template <typename Block>
bool PackQ8_0(const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile) {
  static constexpr std::byte kZeros[sizeof(Block)] = {};
  const Columns from(rows, kZeros, sizeof(kZeros));
  const int64_t blocks = cols / kQuantBlock;
  std::byte* scales = tile + cols * kTileRows;
  bool finite = true;
  for (int64_t b = 0; b < blocks; ++b) {
    const std::byte* block[kTileRows];
    BlockQ8_0 converted[kTileRows];
    uint16_t d[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) {
      block[r] = from.row[r] + b * from.stride[r];
      if constexpr (std::is_same_v<Block, BlockQ5_1>) {
        if (!ToQ8_0(block[r], &converted[r])) return false;
        block[r] = reinterpret_cast<const std::byte*>(&converted[r]);
      }
      d[r] = Load<uint16_t>(block[r]);
      finite &= IsFinite(d[r], kF16Exponent);
    }
    std::memcpy(scales + b * sizeof(d), d, sizeof(d));
    for (int64_t g = 0; g < kQuantBlock / 4; ++g) {
      uint32_t line[kTileRows];
      for (int64_t r = 0; r < kTileRows; ++r) line[r] = Load<uint32_t>(block[r] + 2 + g * 4);
      std::memcpy(tile + (b * (kQuantBlock / 4) + g) * sizeof(line), line, sizeof(line));
    }
  }
  return finite;
}

// Four words of each of sixteen superblocks, at `of` in theirs: word i of all rows, row by row,
// goes to line i of 64 bytes.
void TransposeWords(const Superblock rows[kTileRows], size_t of, std::byte* to) {
  using Words = uint32_t __attribute__((vector_size(16)));
  const auto load = [&](int64_t r) {
    return Load<Words>(reinterpret_cast<const std::byte*>(&rows[r]) + of);
  };
  for (int64_t r = 0; r < kTileRows; r += 4) {
    const Words a = load(r), b = load(r + 1), c = load(r + 2), d = load(r + 3);
    const Words ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Words ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Words cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Words cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const Words lines[4] = {__builtin_shufflevector(ab01, cd01, 0, 1, 4, 5),
                            __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7),
                            __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5),
                            __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7)};
    for (int64_t i = 0; i < 4; ++i) {
      std::memcpy(to + (i * kTileRows + r) * sizeof(uint32_t), &lines[i], sizeof(Words));
    }
  }
}

template <Packing kPacking>
void StoreSuperblock(const Superblock rows[kTileRows], std::byte* to) {
  constexpr SuperLayout kLayout = LayoutOf(kPacking);
  constexpr int64_t kHighWords = kSuperblock / 32 * kLayout.high_bits;
  for (size_t i = 0; i < kSuperblock / 8; i += 4) {
    TransposeWords(rows, offsetof(Superblock, nibbles) + i * 4, to + i * kTileRows * 4);
  }
  for (size_t i = 0; i < kHighWords; i += 4) {
    TransposeWords(rows, offsetof(Superblock, high_bits) + i * 4,
                   to + kLayout.kNibbleBytes + i * kTileRows * 4);
  }
  for (int64_t r = 0; r < kTileRows; ++r) {
    for (int64_t i = 0; i < kSuperblock / kLayout.multiplier_elements; ++i) {
      to[kLayout.multipliers_at() + i * kTileRows + r] = std::byte(rows[r].multipliers[i]);
    }
    if (!kLayout.minima) continue;
    for (int64_t b = 0; b < kSuperblock / kQuantBlock; ++b) {
      to[kLayout.minima_at() + (b / 2 * kTileRows + r) * 2 + b % 2] = std::byte(rows[r].minima[b]);
    }
  }
}

template <Packing kPacking>
bool PackSuper(DType dtype, const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile) {
  constexpr SuperLayout kLayout = LayoutOf(kPacking);
  const int64_t superblocks = Superblocks(cols);
  std::byte* scales = tile + superblocks * kLayout.bytes();
  Superblock blocks[kTileRows] = {};  // missing rows stay zeros
  for (int64_t s = 0; s < superblocks; ++s) {
    for (int64_t r = 0; r < kTileRows; ++r) {
      if (rows[r] != nullptr && !ReadSuperblock(dtype, rows[r], cols, s, &blocks[r])) return false;
      std::memcpy(scales + (s * kTileRows + r) * 2, &blocks[r].scale, 2);
      if (!kLayout.minima) continue;
      std::memcpy(scales + ((superblocks + s) * kTileRows + r) * 2, &blocks[r].minimum_scale, 2);
    }
    StoreSuperblock<kPacking>(blocks, tile + s * kLayout.bytes());
  }
  return true;
}

template <typename T>
bool IsFinitePlain(const std::byte* row, int64_t count, size_t stride, T exponent) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) finite &= IsFinite(Load<T>(row + i * stride), exponent);
  return finite;
}

void UnpackQ8_0(const std::byte* tile, int64_t row, int64_t cols, float* out) {
  const std::byte* scales = tile + cols * kTileRows;
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t scale_index = k / kQuantBlock * kTileRows + row;
    const float d = F16ToF32(Load<uint16_t>(scales + scale_index * 2));
    const int8_t q = Load<int8_t>(tile + (k / 4 * kTileRows + row) * 4 + k % 4);
    out[k] = d * static_cast<float>(q);
  }
}

template <Packing kPacking>
void UnpackSuper(const std::byte* tile, int64_t row, int64_t cols, float* out) {
  constexpr SuperLayout kLayout = LayoutOf(kPacking);
  const std::byte* scales = tile + Superblocks(cols) * kLayout.bytes();
  const auto scale = [&](int64_t index) {
    return F16ToF32(Load<uint16_t>(scales + (index * kTileRows + row) * 2));
  };
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t s = k / kSuperblock;
    const PackedSuperblock<kPacking> block{tile + s * kLayout.bytes(), row};
    const int64_t at = k % kSuperblock;
    out[k] = scale(s) * static_cast<float>(block.Multiplier(at) * block.Code(at));
    if (kLayout.minima) {
      const float minimum = static_cast<float>(block.Minimum(at / kQuantBlock));
      out[k] = out[k] + scale(Superblocks(cols) + s) * minimum;
    }
  }
}

bool IsFiniteSuperRow(DType dtype, const std::byte* row, int64_t cols) {
  Superblock block;
  for (int64_t s = 0; s < Superblocks(cols); ++s) {
    if (!ReadSuperblock(dtype, row, cols, s, &block)) return false;
  }
  return true;
}

}  // namespace

bool PackTile(DType dtype, const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile) {
  std::memset(tile + TileBytes(PackingOf(dtype), cols) - 64, 0, 64);  // what rounds it up
  switch (PackingOf(dtype)) {
    case Packing::kF32:
      return PackPlain<uint32_t>(rows, cols, kF32Exponent, tile);
    case Packing::kF16:
      return PackPlain<uint16_t>(rows, cols, kF16Exponent, tile);
    case Packing::kBF16:
      return PackPlain<uint16_t>(rows, cols, kBF16Exponent, tile);
    case Packing::kQ8_0:
      return dtype == DType::kQ5_1 ? PackQ8_0<BlockQ5_1>(rows, cols, tile)
                                   : PackQ8_0<BlockQ8_0>(rows, cols, tile);
    case Packing::kInt4:
      return PackSuper<Packing::kInt4>(dtype, rows, cols, tile);
    case Packing::kInt4Min:
      return PackSuper<Packing::kInt4Min>(dtype, rows, cols, tile);
    case Packing::kInt5:
      return PackSuper<Packing::kInt5>(dtype, rows, cols, tile);
    case Packing::kInt5Min:
      return PackSuper<Packing::kInt5Min>(dtype, rows, cols, tile);
    case Packing::kInt6:
      return PackSuper<Packing::kInt6>(dtype, rows, cols, tile);
  }
  return false;
}

bool IsFiniteRow(DType dtype, const std::byte* row, int64_t cols) {
  switch (dtype) {
    case DType::kF32:
      return IsFinitePlain<uint32_t>(row, cols, 4, kF32Exponent);
    case DType::kF16:
      return IsFinitePlain<uint16_t>(row, cols, 2, kF16Exponent);
    case DType::kBF16:
      return IsFinitePlain<uint16_t>(row, cols, 2, kBF16Exponent);
    case DType::kQ8_0:
      return IsFinitePlain<uint16_t>(row, cols / kQuantBlock, sizeof(BlockQ8_0), kF16Exponent);
    case DType::kQ5_1:
      return IsFinitePlain<uint16_t>(row, cols / kQuantBlock, sizeof(BlockQ5_1), kF16Exponent) &&
             IsFinitePlain<uint16_t>(row + offsetof(BlockQ5_1, m), cols / kQuantBlock,
                                     sizeof(BlockQ5_1), kF16Exponent);
    default:
      return IsFiniteSuperRow(dtype, row, cols);
  }
}

void UnpackRow(Packing packing, const std::byte* tile, int64_t row, int64_t cols, float* out) {
  const auto element = [&](int64_t k, size_t size) { return tile + (k * kTileRows + row) * size; };
  switch (packing) {
    case Packing::kF32:
      for (int64_t k = 0; k < cols; ++k) out[k] = Load<float>(element(k, 4));
      return;
    case Packing::kF16:
      for (int64_t k = 0; k < cols; ++k) out[k] = F16ToF32(Load<uint16_t>(element(k, 2)));
      return;
    case Packing::kBF16:
      for (int64_t k = 0; k < cols; ++k) out[k] = BF16ToF32(Load<uint16_t>(element(k, 2)));
      return;
    case Packing::kQ8_0:
      return UnpackQ8_0(tile, row, cols, out);
    case Packing::kInt4:
      return UnpackSuper<Packing::kInt4>(tile, row, cols, out);
    case Packing::kInt4Min:
      return UnpackSuper<Packing::kInt4Min>(tile, row, cols, out);
    case Packing::kInt5:
      return UnpackSuper<Packing::kInt5>(tile, row, cols, out);
    case Packing::kInt5Min:
      return UnpackSuper<Packing::kInt5Min>(tile, row, cols, out);
    case Packing::kInt6:
      return UnpackSuper<Packing::kInt6>(tile, row, cols, out);
  }
}

}  // namespace hearth::kernels
