#include "engine/kernels/packing.h"

#include <cstring>

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

// A block is a f16 scale and kQuantBytes of quants: a whole number of groups of four bytes, which
// move to [group][row] unchanged.
template <int kQuantBytes>
bool PackQuantized(const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile) {
  static constexpr std::byte kZeros[2 + kQuantBytes] = {};
  const Columns from(rows, kZeros, sizeof(kZeros));
  const int64_t blocks = cols / kQuantBlock;
  std::byte* scales = tile + blocks * kQuantBytes * kTileRows;
  bool finite = true;
  for (int64_t b = 0; b < blocks; ++b) {
    const std::byte* block[kTileRows];
    uint16_t d[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) {
      block[r] = from.row[r] + b * from.stride[r];
      d[r] = Load<uint16_t>(block[r]);
      finite &= IsFinite(d[r], kF16Exponent);
    }
    std::memcpy(scales + b * sizeof(d), d, sizeof(d));
    for (int g = 0; g < kQuantBytes / 4; ++g) {
      uint32_t line[kTileRows];
      for (int64_t r = 0; r < kTileRows; ++r) line[r] = Load<uint32_t>(block[r] + 2 + g * 4);
      std::memcpy(tile + (b * (kQuantBytes / 4) + g) * sizeof(line), line, sizeof(line));
    }
  }
  return finite;
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

void UnpackQ4_0(const std::byte* tile, int64_t row, int64_t cols, float* out) {
  const int64_t blocks = cols / kQuantBlock;
  const std::byte* scales = tile + blocks * 16 * kTileRows;
  for (int64_t b = 0; b < blocks; ++b) {
    const float d = F16ToF32(Load<uint16_t>(scales + (b * kTileRows + row) * 2));
    for (int64_t i = 0; i < 16; ++i) {
      const std::byte* group = tile + (b * 4 + i / 4) * 4 * kTileRows;
      const uint8_t q = Load<uint8_t>(group + row * 4 + i % 4);
      out[b * kQuantBlock + i] = d * static_cast<float>((q & 15) - 8);
      out[b * kQuantBlock + 16 + i] = d * static_cast<float>((q >> 4) - 8);
    }
  }
}

}  // namespace

bool PackTile(DType dtype, const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile) {
  switch (dtype) {
    case DType::kF32:
      return PackPlain<uint32_t>(rows, cols, kF32Exponent, tile);
    case DType::kF16:
      return PackPlain<uint16_t>(rows, cols, kF16Exponent, tile);
    case DType::kBF16:
      return PackPlain<uint16_t>(rows, cols, kBF16Exponent, tile);
    case DType::kQ8_0:
      return PackQuantized<sizeof(BlockQ8_0::q)>(rows, cols, tile);
    case DType::kQ4_0:
      return PackQuantized<sizeof(BlockQ4_0::q)>(rows, cols, tile);
  }
  return false;
}

bool IsFiniteRow(DType dtype, const std::byte* row, int64_t cols) {
  const int64_t blocks = cols / Traits(dtype).block_elements;
  const size_t stride = Traits(dtype).block_bytes;  // a quantised block begins with its scale
  switch (dtype) {
    case DType::kF32:
      return IsFinitePlain<uint32_t>(row, blocks, stride, kF32Exponent);
    case DType::kBF16:
      return IsFinitePlain<uint16_t>(row, blocks, stride, kBF16Exponent);
    case DType::kF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
      return IsFinitePlain<uint16_t>(row, blocks, stride, kF16Exponent);
  }
  return false;
}

void UnpackRow(DType dtype, const std::byte* tile, int64_t row, int64_t cols, float* out) {
  const auto element = [&](int64_t k, size_t size) { return tile + (k * kTileRows + row) * size; };
  switch (dtype) {
    case DType::kF32:
      for (int64_t k = 0; k < cols; ++k) out[k] = Load<float>(element(k, 4));
      return;
    case DType::kF16:
      for (int64_t k = 0; k < cols; ++k) out[k] = F16ToF32(Load<uint16_t>(element(k, 2)));
      return;
    case DType::kBF16:
      for (int64_t k = 0; k < cols; ++k) out[k] = BF16ToF32(Load<uint16_t>(element(k, 2)));
      return;
    case DType::kQ8_0:
      return UnpackQ8_0(tile, row, cols, out);
    case DType::kQ4_0:
      return UnpackQ4_0(tile, row, cols, out);
  }
}

}  // namespace hearth::kernels
