#include "engine/kernels/packing.h"

#include <gtest/gtest.h>

#include "engine/tensor/blocks.h"
#include "tests/kernels/inputs.h"

namespace hearth::kernels {
namespace {

constexpr DType kAll[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

int64_t SomeCols(DType dtype) { return Traits(dtype).block_elements > 1 ? 96 : 172; }

// Element k of a row as a model file stores it.
double FileElement(DType dtype, const std::byte* row, int64_t k) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, row + 4 * k, sizeof(value));
    return value;
  }
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    uint16_t half;
    std::memcpy(&half, row + 2 * k, sizeof(half));
    return dtype == DType::kF16 ? F16ToF32(half) : BF16ToF32(half);
  }
  if (dtype == DType::kQ8_0) {
    BlockQ8_0 block;
    std::memcpy(&block, row + k / 32 * sizeof(block), sizeof(block));
    return double{F16ToF32(block.d)} * block.q[k % 32];
  }
  BlockQ4_0 block;
  std::memcpy(&block, row + k / 32 * sizeof(block), sizeof(block));
  const int i = k % 32;
  const int q = i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4;
  return double{F16ToF32(block.d)} * (q - 8);
}

TEST(Packing, UnpackRowGivesTheFileElements) {
  Inputs inputs(1);
  for (DType dtype : kAll) {
    const int64_t cols = SomeCols(dtype);
    const std::vector<std::byte> file = inputs.FileRows(dtype, 21, cols);
    Packed packed = Pack(dtype, file, 21, cols);
    for (int64_t r = 0; r < 21; ++r) {
      std::vector<float> row(cols);
      UnpackRow(dtype, packed.view.tiles + r / 16 * TileBytes(dtype, cols), r % 16, cols,
                row.data());
      for (int64_t k = 0; k < cols; ++k) {
        const double element = FileElement(dtype, &file[r * RowBytes(dtype, cols)], k);
        ASSERT_EQ(row[k], static_cast<float>(element))
            << Traits(dtype).name << " " << r << "," << k;
      }
    }
  }
}

TEST(Packing, MissingRowsAreZeros) {
  Inputs inputs(2);
  for (DType dtype : kAll) {
    const int64_t cols = SomeCols(dtype);
    Packed packed = Pack(dtype, inputs.FileRows(dtype, 5, cols), 5, cols);
    for (int64_t r = 5; r < 16; ++r) {
      std::vector<float> row(cols, 1.0f);
      UnpackRow(dtype, packed.view.tiles, r, cols, row.data());
      for (float value : row) ASSERT_EQ(value, 0.0f) << Traits(dtype).name;
    }
  }
}

TEST(Packing, TakesTheFilesBitsPerWeight) {
  for (DType dtype : kAll) {
    EXPECT_EQ(TileBytes(dtype, 3072), 16 * RowBytes(dtype, 3072));
    EXPECT_EQ(TileBytes(dtype, SomeCols(dtype)) % 64, 0u);
    EXPECT_LT(TileBytes(dtype, SomeCols(dtype)), 16 * RowBytes(dtype, SomeCols(dtype)) + 64);
  }
}

TEST(Packing, RowsMayBeUnaligned) {
  Inputs inputs(3);
  for (DType dtype : kAll) {
    const int64_t cols = SomeCols(dtype);
    std::vector<std::byte> file = inputs.FileRows(dtype, 16, cols);
    Packed aligned = Pack(dtype, file, 16, cols);
    std::vector<std::byte> shifted(file.size() + 1);
    std::memcpy(&shifted[1], file.data(), file.size());
    std::array<const std::byte*, kTileRows> source;
    for (int64_t r = 0; r < 16; ++r) source[r] = &shifted[1] + r * RowBytes(dtype, cols);
    TileMemory tile(TileBytes(dtype, cols));
    EXPECT_TRUE(PackTile(dtype, source.data(), cols, tile.data()));
    EXPECT_EQ(std::memcmp(tile.data(), aligned.view.tiles, 16 * RowBytes(dtype, cols)), 0);
  }
}

// A NaN or an infinity in any scale or plain element of any row is seen (row M15 of the catalogue).
TEST(Packing, ModelM15_ScaleNotFinite) {
  Inputs inputs(4);
  for (DType dtype : kAll) {
    const int64_t cols = SomeCols(dtype);
    const DTypeTraits traits = Traits(dtype);
    const size_t row_bytes = RowBytes(dtype, cols);
    for (uint32_t bits : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u}) {
      std::vector<std::byte> file = inputs.FileRows(dtype, 16, cols);
      const int64_t row = inputs.Below(16);
      std::byte* at =
          &file[row * row_bytes] + inputs.Below(cols / traits.block_elements) * traits.block_bytes;
      const uint16_t half =
          dtype == DType::kBF16 ? (bits >> 16) | (bits & 1) : F32ToF16(std::bit_cast<float>(bits));
      std::memcpy(at, dtype == DType::kF32 ? static_cast<const void*>(&bits) : &half,
                  dtype == DType::kF32 ? 4 : 2);
      std::array<const std::byte*, kTileRows> source;
      for (int64_t r = 0; r < 16; ++r) source[r] = &file[r * row_bytes];
      TileMemory tile(TileBytes(dtype, cols));
      EXPECT_FALSE(PackTile(dtype, source.data(), cols, tile.data())) << traits.name;
      for (int64_t r = 0; r < 16; ++r) {
        EXPECT_EQ(IsFiniteRow(dtype, source[r], cols), r != row) << traits.name;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::kernels
