#include "engine/kernels/packing.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include "engine/kernels/superblock.h"
#include "engine/mix.h"
#include "engine/tensor/blocks.h"
#include "tests/kernels/inputs.h"
#include "tests/tools/quantize.h"

namespace hearth::kernels {
namespace {

// Half a step of multiples of a common unit, by the definition of ToMultiples.
double HalfStep(double max) { return (max / 127 * (1 + 0x1p-10) + 0x1p-24) / 2; }

// How far a row's packed weights may be from the file's: nothing for plain types and Q8_0, the
// roundings of a few operations for types of two levels, for Q5_1 half a step of a block's weights,
// and for the others half a multiplier's step times the largest code.
double Tolerance(DType dtype, const std::byte* row, int64_t k, int64_t cols) {
  if (dtype == DType::kQ5_1) {
    std::vector<float> block(32);
    DecodeRow(dtype, row + k / 32 * sizeof(BlockQ5_1), absl::MakeSpan(block));
    double max = 0;
    for (const float weight : block) max = std::max(max, std::abs(double{weight}));
    return HalfStep(max) + max * 0x1p-22;
  }
  if (!IsSuper(PackingOf(dtype))) return 0;
  const int64_t first = k / kSuperblock * kSuperblock;
  const int64_t last = std::min(first + kSuperblock, cols);
  const DTypeTraits traits = Traits(dtype);
  double scale = 0;
  double minimum = 0;
  for (int64_t i = first; i < last; i += traits.block_elements) {
    const std::byte* block = row + i / traits.block_elements * traits.block_bytes;
    const std::vector<size_t> offsets = FloatOffsets(dtype);
    uint16_t half;
    std::memcpy(&half, block + offsets[0], sizeof(half));
    scale = std::max(scale, std::abs(double{F16ToF32(half)}));
    if (offsets.size() < 2) continue;
    std::memcpy(&half, block + offsets[1], sizeof(half));
    minimum = std::max(minimum, std::abs(double{F16ToF32(half)}));
  }
  if (traits.block_elements == kSuperblock) return (scale * 128 * 32 + minimum * 63) * 0x1p-22;
  const SuperLayout layout = LayoutOf(PackingOf(dtype));
  const int largest_code = layout.offset > 0 ? layout.offset : (16 << layout.high_bits) - 1;
  return (HalfStep(scale) * largest_code + HalfStep(minimum)) * (1 + 0x1p-20);
}

TEST(Packing, UnpackRowGivesTheFileElements) {
  Inputs inputs(1);
  for (DType dtype : kDTypes) {
    const int64_t cols = SomeCols(dtype);
    const std::vector<std::byte> file = inputs.FileRows(dtype, 21, cols);
    Packed packed = Pack(dtype, file, 21, cols);
    for (int64_t r = 0; r < 21; ++r) {
      const std::byte* file_row = &file[r * RowBytes(dtype, cols)];
      std::vector<float> expected(cols);
      DecodeRow(dtype, file_row, absl::MakeSpan(expected));
      std::vector<float> row(cols);
      const Packing packing = PackingOf(dtype);
      UnpackRow(packing, packed.view.tiles + r / 16 * TileBytes(packing, cols), r % 16, cols,
                row.data());
      for (int64_t k = 0; k < cols; ++k) {
        ASSERT_NEAR(row[k], expected[k], Tolerance(dtype, file_row, k, cols))
            << Traits(dtype).name << " " << r << "," << k;
      }
    }
  }
}

TEST(Packing, MissingRowsAreZeros) {
  Inputs inputs(2);
  for (DType dtype : kDTypes) {
    const int64_t cols = SomeCols(dtype);
    Packed packed = Pack(dtype, inputs.FileRows(dtype, 5, cols), 5, cols);
    for (int64_t r = 5; r < 16; ++r) {
      std::vector<float> row(cols, 1.0f);
      UnpackRow(PackingOf(dtype), packed.view.tiles, r, cols, row.data());
      for (float value : row) ASSERT_EQ(value, 0.0f) << Traits(dtype).name;
    }
  }
}

TEST(Packing, TakesAboutTheFilesBitsPerWeight) {
  for (DType dtype : kDTypes) {
    const DType as_packed = dtype == DType::kQ5_1 ? DType::kQ8_0 : dtype;
    const double ratio = static_cast<double>(TileBytes(PackingOf(dtype), 3072)) /
                         static_cast<double>(16 * RowBytes(as_packed, 3072));
    EXPECT_LE(ratio, 1.03) << Traits(dtype).name;
    EXPECT_EQ(TileBytes(PackingOf(dtype), SomeCols(dtype)) % 64, 0u);
  }
}

// Sixteen rows as a file might hold them, the same for ever: of every block all bits are random but
// those of floats, which are finite, the least and zero among them.
std::vector<std::byte> FixedRows(DType dtype, int64_t cols) {
  std::vector<std::byte> bytes(kTileRows * RowBytes(dtype, cols));
  uint64_t count = 0;
  const auto next = [&count] { return Mix(++count); };
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(next());
  const size_t high_byte = dtype == DType::kF32 ? 3 : 1;
  for (size_t at = 0; at < bytes.size(); at += Traits(dtype).block_bytes) {
    for (const size_t offset : FloatOffsets(dtype)) {
      std::byte* exponent = &bytes[at + offset + high_byte];
      *exponent &= next() % 8 == 0 ? std::byte{0x80} : std::byte{0xb7};
      if (next() % 16 == 0) std::memset(&bytes[at + offset], 0, high_byte + 1);
    }
  }
  return bytes;
}

// Files of packed weights outlive the binary that wrote them: whoever changes a byte of what
// packing makes raises kPackingVersion, and writes the new hashes here.
TEST(Packing, VersionSaysWhatPackingMakes) {
  ASSERT_EQ(kPackingVersion, 2u);
  const std::pair<DType, uint64_t> expected[] = {
      {DType::kF32, 0xdb508b58750907da},  {DType::kF16, 0x9c902e6a160ab754},
      {DType::kBF16, 0x9c902e6a160ab754}, {DType::kQ8_0, 0xa0f8d59d5ca50450},
      {DType::kQ4_0, 0xe3d97fdb02aa4644}, {DType::kQ4_1, 0xf11a88d705da9d43},
      {DType::kQ5_0, 0x8fee2137a90cbe9a}, {DType::kQ5_1, 0x339317d4a90fc8ac},
      {DType::kQ4_K, 0x3cb5165f43a4dc2a}, {DType::kQ5_K, 0xab01bb6c95da0ad0},
      {DType::kQ6_K, 0x6b0f62c1c37beb82},
  };
  ASSERT_EQ(std::size(expected), std::size(kDTypes));
  for (const auto& [dtype, hash] : expected) {
    const int64_t cols = SomeCols(dtype);
    const size_t bytes = TileBytes(PackingOf(dtype), cols);
    Packed packed = Pack(dtype, FixedRows(dtype, cols), kTileRows, cols);
    EXPECT_EQ(XXH3_64bits(packed.view.tiles, bytes), hash) << Traits(dtype).name;
  }
}

TEST(Packing, RowsMayBeUnaligned) {
  Inputs inputs(3);
  for (DType dtype : kDTypes) {
    const int64_t cols = SomeCols(dtype);
    std::vector<std::byte> file = inputs.FileRows(dtype, 16, cols);
    Packed aligned = Pack(dtype, file, 16, cols);
    std::vector<std::byte> shifted(file.size() + 1);
    std::memcpy(&shifted[1], file.data(), file.size());
    std::array<const std::byte*, kTileRows> source;
    for (int64_t r = 0; r < 16; ++r) source[r] = &shifted[1] + r * RowBytes(dtype, cols);
    const size_t bytes = TileBytes(PackingOf(dtype), cols);
    TileMemory tile(bytes);
    std::memset(tile.data(), 0x55, bytes);  // which must all be overwritten
    EXPECT_TRUE(PackTile(dtype, source.data(), cols, tile.data()));
    EXPECT_EQ(std::memcmp(tile.data(), aligned.view.tiles, bytes), 0) << Traits(dtype).name;
  }
}

// A NaN or an infinity in any scale or plain element of any row is seen (row M15 of the catalogue).
TEST(Packing, ModelM15_ScaleNotFinite) {
  Inputs inputs(4);
  for (DType dtype : kDTypes) {
    const int64_t cols = SomeCols(dtype);
    const DTypeTraits traits = Traits(dtype);
    const size_t row_bytes = RowBytes(dtype, cols);
    for (uint32_t bits : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u}) {
      std::vector<std::byte> file = inputs.FileRows(dtype, 16, cols);
      const int64_t row = inputs.Below(16);
      const std::vector<size_t> offsets = FloatOffsets(dtype);
      std::byte* at = &file[row * row_bytes] +
                      inputs.Below(cols / traits.block_elements) * traits.block_bytes +
                      offsets[inputs.Below(static_cast<int32_t>(offsets.size()))];
      const uint16_t half =
          dtype == DType::kBF16 ? (bits >> 16) | (bits & 1) : F32ToF16(std::bit_cast<float>(bits));
      std::memcpy(at, dtype == DType::kF32 ? static_cast<const void*>(&bits) : &half,
                  dtype == DType::kF32 ? 4 : 2);
      std::array<const std::byte*, kTileRows> source;
      for (int64_t r = 0; r < 16; ++r) source[r] = &file[r * row_bytes];
      TileMemory tile(TileBytes(PackingOf(dtype), cols));
      EXPECT_FALSE(PackTile(dtype, source.data(), cols, tile.data())) << traits.name;
      for (int64_t r = 0; r < 16; ++r) {
        EXPECT_EQ(IsFiniteRow(dtype, source[r], cols), r != row) << traits.name;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::kernels
