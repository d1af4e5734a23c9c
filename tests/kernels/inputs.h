// Inputs for kernels: floats of every awkward kind, and packed weights.
#ifndef HEARTH_TESTS_KERNELS_INPUTS_H_
#define HEARTH_TESTS_KERNELS_INPUTS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/kernels/packing.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels {

enum class Kind { kNormal, kZeros, kSubnormal, kHuge, kMixed, kSpecial };
inline constexpr Kind kKinds[] = {Kind::kNormal, Kind::kZeros, Kind::kSubnormal,
                                  Kind::kHuge,   Kind::kMixed, Kind::kSpecial};

// Where in a block of a file its floating-point numbers are.
inline std::vector<size_t> FloatOffsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

// A number of columns that every type allows and that, where the type does, ends within a tile's
// last superblock.
inline int64_t SomeCols(DType dtype) {
  const int32_t block = Traits(dtype).block_elements;
  return block == 1 ? 172 : block == 32 ? 352 : 512;
}

class Inputs {
 public:
  explicit Inputs(uint32_t seed) : rng_(seed) {}

  uint32_t Bits() { return static_cast<uint32_t>(rng_()); }
  int32_t Below(int32_t n) { return static_cast<int32_t>(rng_() % static_cast<uint32_t>(n)); }

  float Value(Kind kind) {
    const float sign = rng_() & 1 ? -1.0f : 1.0f;
    const float unit = static_cast<float>(rng_() >> 8) * 0x1p-24f;
    switch (kind) {
      case Kind::kNormal:
        return sign * unit * 3.0f;
      case Kind::kZeros:
        return sign * 0.0f;
      case Kind::kSubnormal:
        return sign * std::bit_cast<float>(Bits() % 0x900000u);
      case Kind::kHuge:
        return sign * unit * std::numeric_limits<float>::max();
      case Kind::kMixed:
        return kKinds[rng_() % 4] == Kind::kHuge ? sign * 1e30f * unit : Value(kKinds[rng_() % 3]);
      case Kind::kSpecial:
        return Special(sign);
    }
    return 0.0f;
  }

  std::vector<float> Values(Kind kind, int64_t n) {
    std::vector<float> values(n);
    for (float& value : values) value = Value(kind);
    return values;
  }

  // Rows of all kinds in turn.
  std::vector<float> Rows(int64_t rows, int64_t cols) {
    std::vector<float> values;
    values.reserve(rows * cols);
    for (int64_t r = 0; r < rows; ++r) {
      const Kind kind = kKinds[turn_++ % std::size(kKinds)];
      for (int64_t k = 0; k < cols; ++k) values.push_back(Value(kind));
    }
    return values;
  }

  // A finite f16 of any magnitude, zero and subnormal among them.
  uint16_t FiniteF16() {
    const uint16_t bits = static_cast<uint16_t>(rng_());
    switch (rng_() % 8) {
      case 0:
        return bits & 0x8000u;  // zero
      case 1:
        return bits & 0x83ffu;  // subnormal
      case 2:
        return (bits & 0x83ffu) | 0x7800u;  // the largest exponent
      default:
        return (bits & 0x8fffu) | 0x2000u;  // about 2^-7 .. 2^-3
    }
  }

  // n rows as a model file stores them. Quantised bytes are uniform, so -128 occurs in Q8_0.
  std::vector<std::byte> FileRows(DType dtype, int64_t n, int64_t cols) {
    const DTypeTraits traits = Traits(dtype);
    std::vector<std::byte> bytes(n * RowBytes(dtype, cols));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng_());
    for (size_t at = 0; at < bytes.size(); at += traits.block_bytes) {
      for (size_t offset : FloatOffsets(dtype)) {
        const float value = Value(rng_() % 8 == 0 ? Kind::kMixed : Kind::kNormal);
        const uint16_t half = dtype == DType::kBF16 ? F32ToBF16(value) : FiniteF16();
        if (dtype == DType::kF32) {
          std::memcpy(&bytes[at], &value, sizeof(value));
        } else {
          std::memcpy(&bytes[at + offset], &half, sizeof(half));
        }
      }
    }
    return bytes;
  }

 private:
  float Special(float sign) {
    switch (rng_() % 40) {
      case 0:
        return std::numeric_limits<float>::quiet_NaN();
      case 1:
        return std::bit_cast<float>(0xffc12345u);  // another NaN: negative, with a payload
      case 2:
        return std::bit_cast<float>(0x7f812345u);  // a signalling one
      case 3:
      case 4:
        return sign * std::numeric_limits<float>::infinity();
      default:
        return Value(Kind::kNormal);
    }
  }

  std::mt19937 rng_;
  uint32_t turn_ = 0;
};

// Memory aligned as packed tiles must be.
class TileMemory {
 public:
  explicit TileMemory(size_t bytes) : memory_(bytes + 64) {}
  std::byte* data() {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    return memory_.data() + (64 - address % 64) % 64;
  }

 private:
  std::vector<std::byte> memory_;
};

struct Packed {
  TileMemory memory;
  PackedRows view;
};

inline Packed Pack(DType dtype, const std::vector<std::byte>& file, int64_t rows, int64_t cols) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  Packed packed{TileMemory(tiles * TileBytes(PackingOf(dtype), cols)), {}};
  for (int64_t t = 0; t < tiles; ++t) {
    std::array<const std::byte*, kTileRows> source = {};
    for (int64_t r = t * kTileRows; r < std::min(rows, (t + 1) * kTileRows); ++r) {
      source[r % kTileRows] = file.data() + r * RowBytes(dtype, cols);
    }
    PackTile(dtype, source.data(), cols,
             packed.memory.data() + t * TileBytes(PackingOf(dtype), cols));
  }
  packed.view = {packed.memory.data(), rows, cols};
  return packed;
}

// Quantised activations that own their memory.
struct Quantized {
  Quantized(int64_t rows, int64_t cols)
      : values(rows * cols, 99),
        scales(rows * cols / kQuantBlock, 99.0f),
        offset(rows * cols / kQuantBlock, 99),
        rows_(rows),
        cols_(cols) {}
  QuantizedRows view() { return {values.data(), scales.data(), offset.data(), rows_, cols_}; }

  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int32_t> offset;

 private:
  int64_t rows_;
  int64_t cols_;
};

struct Super {
  Super(int64_t rows, int64_t cols) {
    shape_.rows = rows;
    shape_.cols = cols;
    values.assign(rows * shape_.stride(), 99);
    scales.assign(rows * shape_.blocks(), 99.0f);
    sums.assign(rows * shape_.padded() / 16, 99);
  }
  SuperRows view() {
    SuperRows view = shape_;
    view.values = values.data();
    view.scales = scales.data();
    view.sums = sums.data();
    return view;
  }

  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int16_t> sums;

 private:
  SuperRows shape_ = {};
};

}  // namespace hearth::kernels

#endif  // HEARTH_TESTS_KERNELS_INPUTS_H_
