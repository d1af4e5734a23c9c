#include "engine/ops/matmul.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>

#include "engine/kernels/packing.h"
#include "engine/tensor/float16.h"
#include "tests/ops/inputs.h"
#include "tests/tools/quantize.h"

namespace hearth::ops {
namespace {

using testing::HasSubstr;

// A matrix as a file would hold it, one byte off alignment, and its elements as they are packed
// (tests/kernels/packing_test holds these against the file's).
struct Source {
  Source(std::mt19937& rng, DType dtype, int64_t rows, int64_t cols)
      : bytes(1 + rows * RowBytes(dtype, cols)) {
    const kernels::Packing packing = kernels::PackingOf(dtype);
    std::vector<std::byte> tile(kernels::TileBytes(packing, cols));
    std::vector<float> packed(cols);
    for (int64_t r = 0; r < rows; ++r) {
      std::byte* row = &bytes[1 + r * RowBytes(dtype, cols)];
      EncodeRow(dtype, RandomFloats(rng, cols), row);
      const std::byte* lanes[kernels::kTileRows] = {row};
      EXPECT_TRUE(kernels::PackTile(dtype, lanes, cols, tile.data()));
      kernels::UnpackRow(packing, tile.data(), 0, cols, packed.data());
      elements.insert(elements.end(), packed.begin(), packed.end());
    }
    tensor = {dtype, 2, {rows, cols, 1, 1}, &bytes[1], bytes.size() - 1, ""};
  }

  std::vector<std::byte> bytes;
  std::vector<double> elements;
  Tensor tensor;
};

// Packs tensors that lie in memory, into memory kept to the end of the process.
absl::StatusOr<PackedMatrix> PackInMemory(Workers& workers, const std::vector<Tensor>& parts) {
  static std::vector<Pages> kept;
  size_t bytes = 0;
  if (!parts.empty() && parts[0].rank == 2) {
    int64_t rows = 0;
    for (const Tensor& part : parts) rows += std::min<int64_t>(part.rows(), 1 << 20);
    bytes = PackedMatrix::PackedBytes(parts[0].dtype, rows, parts[0].cols());
  }
  kept.push_back(*workers.Allocate(bytes));
  const auto read = [](const std::byte* from, size_t count, std::byte* to) {
    std::memcpy(to, from, count);
    return absl::OkStatus();
  };
  return Pack(workers, parts, read, kept.back().data());
}

WorkersOptions Options() {
  WorkersOptions options;
  options.input_bytes = InputBytes(kDTypes, 40, 512);
  options.max_cols = 512;
  return options;
}

int64_t Cols(DType dtype) {
  return !IsQuantized(dtype) ? 172 : Traits(dtype).block_elements == 32 ? 352 : 512;
}

std::vector<float> Multiply(Workers& workers, const PackedMatrix& w, const std::vector<float>& x) {
  const int32_t rows = static_cast<int32_t>(x.size() / w.cols());
  std::vector<float> out(rows * w.rows());
  MatMul(workers, {&w, 1}, x.data(), rows, out.data());
  return out;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

TEST(MatMul, MatchesDoubleWithinWhatQuantisingAndRoundingMove) {
  std::mt19937 rng(1);
  auto workers = MakeWorkers(2, "", Options());
  for (DType dtype : kDTypes) {
    const int64_t cols = Cols(dtype), outputs = 333, rows = 9;
    const Source source(rng, dtype, outputs, cols);
    const PackedMatrix w = *PackInMemory(*workers, {source.tensor});
    const std::vector<float> x = RandomFloats(rng, rows * cols);
    const std::vector<float> out = Multiply(*workers, w, x);
    const bool quantised = Traits(dtype).block_elements > 1;
    for (int64_t m = 0; m < rows; ++m) {
      for (int64_t n = 0; n < outputs; ++n) {
        double expected = 0, magnitude = 0, weights = 0;
        for (int64_t k = 0; k < cols; ++k) {
          const double element = source.elements[n * cols + k];
          expected += element * x[m * cols + k];
          magnitude += std::abs(element * x[m * cols + k]);
          weights += std::abs(element);
        }
        // |x| <= 1, so half a quantising step is at most 1/254.
        const double tolerance =
            (quantised ? weights / 254 : 0) + (cols + 4) * 0x1p-24 * (magnitude + weights / 254);
        ASSERT_NEAR(out[m * outputs + n], expected, tolerance) << Traits(dtype).name;
      }
    }
  }
}

TEST(MatMul, SameBitsForAllThreadsSetsAndBatches) {
  std::mt19937 rng(2);
  for (DType dtype : kDTypes) {
    const int64_t cols = Cols(dtype), outputs = 530, rows = 37;
    const Source source(rng, dtype, outputs, cols);
    const std::vector<float> x = RandomFloats(rng, rows * cols);
    auto one = MakeWorkers(1, "scalar", Options());
    const std::vector<float> expected = Multiply(*one, *PackInMemory(*one, {source.tensor}), x);
    for (std::string_view isa : kernels::SupportedIsas()) {
      for (int32_t threads = 1; threads <= 4; ++threads) {
        auto workers = MakeWorkers(threads, isa, Options());
        const PackedMatrix w = *PackInMemory(*workers, {source.tensor});
        ASSERT_TRUE(SameBits(Multiply(*workers, w, x), expected)) << isa << " " << threads;
        for (int64_t m : {0, 5, 36}) {  // a row alone
          const std::vector<float> row(&x[m * cols], &x[m * cols] + cols);
          const std::vector<float> alone(&expected[m * outputs], &expected[m * outputs] + outputs);
          ASSERT_TRUE(SameBits(Multiply(*workers, w, row), alone)) << isa << " " << threads;
        }
      }
    }
  }
}

// Parts of different types share an input; computed inputs are what the kernels say.
TEST(MatMul, PartsAndComputedInputsGiveTheBitsOfEachAlone) {
  std::mt19937 rng(8);
  constexpr int64_t kCols = 512, kRows = 19;
  const std::vector<float> x = RandomFloats(rng, kRows * 2 * kCols);
  const std::vector<float> weight = RandomFloats(rng, kCols);
  auto scalar = MakeWorkers(1, "scalar", Options());
  const kernels::Table& k = scalar->kernels();
  std::vector<float> norm(kRows * kCols), gated(kRows * kCols);
  for (int64_t m = 0; m < kRows; ++m) {
    k.RmsNorm(&x[m * kCols], kCols, weight.data(), 1e-5f, &norm[m * kCols]);
    k.SwiGlu(&x[m * 2 * kCols], &x[m * 2 * kCols + kCols], kCols, &gated[m * kCols]);
  }
  const std::vector<std::vector<DType>> mixtures = {
      {DType::kQ4_0},
      {DType::kF16},
      {DType::kQ5_K, DType::kQ6_K},
      {DType::kQ8_0, DType::kF32, DType::kQ4_1, DType::kBF16}};
  for (const std::vector<DType>& types : mixtures) {
    std::vector<Source> sources;
    for (const DType dtype : types) sources.emplace_back(rng, dtype, 37, kCols);
    for (int32_t threads : {1, 3}) {
      auto workers = MakeWorkers(threads, "", Options());
      std::vector<PackedMatrix> parts;
      for (const Source& source : sources) {
        parts.push_back(*PackInMemory(*workers, {source.tensor}));
      }
      const auto expected = [&](const std::vector<float>& input) {
        std::vector<float> out(kRows * 37 * parts.size());
        for (size_t p = 0; p < parts.size(); ++p) {
          const std::vector<float> alone = Multiply(*workers, parts[p], input);
          for (int64_t m = 0; m < kRows; ++m) {
            std::copy_n(&alone[m * 37], 37, &out[(m * parts.size() + p) * 37]);
          }
        }
        return out;
      };
      std::vector<float> out(kRows * 37 * parts.size());
      MatMul(*workers, parts, norm.data(), kRows, out.data());
      EXPECT_TRUE(SameBits(out, expected(norm)));
      RmsNormMatMul(*workers, parts, x.data(), kRows, weight.data(), 1e-5f, out.data());
      EXPECT_TRUE(SameBits(out, expected(norm)));
      SwiGluMatMul(*workers, parts, x.data(), kRows, out.data());
      EXPECT_TRUE(SameBits(out, expected(gated)));
    }
  }
}

TEST(PackedMatrix, StacksParts) {
  std::mt19937 rng(3);
  auto workers = MakeWorkers(2, "", Options());
  for (DType dtype : kDTypes) {
    const int64_t cols = Cols(dtype);
    const Source a(rng, dtype, 5, cols), b(rng, dtype, 18, cols), c(rng, dtype, 32, cols);
    const PackedMatrix all = *PackInMemory(*workers, {a.tensor, b.tensor, c.tensor});
    EXPECT_EQ(all.rows(), 55);
    EXPECT_EQ(all.cols(), cols);
    EXPECT_EQ(all.bytes(), PackedMatrix::PackedBytes(dtype, 55, cols));
    const std::vector<float> x = RandomFloats(rng, cols);
    std::vector<float> separate;
    for (const Source* part : {&a, &b, &c}) {
      const auto y = Multiply(*workers, *PackInMemory(*workers, {part->tensor}), x);
      separate.insert(separate.end(), y.begin(), y.end());
    }
    EXPECT_TRUE(SameBits(Multiply(*workers, all, x), separate)) << Traits(dtype).name;
  }
}

TEST(PackedMatrix, ModelM15_NamesTensorAndRowOfAScaleNotFinite) {
  std::mt19937 rng(4);
  auto workers = MakeWorkers(3, "", Options());
  for (DType dtype : kDTypes) {
    Source a(rng, dtype, 70, Cols(dtype)), b(rng, dtype, 500, Cols(dtype));
    a.tensor.name = "attn_q";
    b.tensor.name = "attn_k";
    for (int64_t row : {499, 331, 3}) {  // the first is named
      const float infinity = std::numeric_limits<float>::infinity();
      const uint16_t half = dtype == DType::kBF16 ? F32ToBF16(infinity) : F32ToF16(infinity);
      std::byte* at = &b.bytes[1 + row * RowBytes(dtype, Cols(dtype))];
      if (dtype == DType::kQ6_K) at += 208;  // where its scale is
      std::memcpy(at, dtype == DType::kF32 ? static_cast<const void*>(&infinity) : &half,
                  dtype == DType::kF32 ? 4 : 2);
      const absl::Status status = PackInMemory(*workers, {a.tensor, b.tensor}).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("tensor attn_k: row " + std::to_string(row) + ": "));
    }
  }
}

TEST(PackedMatrix, RefusesPartsThatDoNotFitTogether) {
  std::mt19937 rng(5);
  auto workers = MakeWorkers(1, "", Options());
  const Source a(rng, DType::kQ4_0, 16, 64), narrow(rng, DType::kQ4_0, 16, 32),
      other(rng, DType::kQ8_0, 16, 64);
  Tensor truncated = a.tensor;
  truncated.bytes -= 1;
  Tensor odd = a.tensor;
  odd.dims[1] = 48;
  Tensor vector = a.tensor;
  vector.rank = 1;
  Tensor vast = a.tensor;
  vast.dims[0] = int64_t{1} << 60;
  const std::vector<std::vector<Tensor>> bad = {
      {},    {a.tensor, narrow.tensor}, {a.tensor, other.tensor}, {truncated}, {odd}, {vector},
      {vast}};
  for (const std::vector<Tensor>& parts : bad) {
    EXPECT_EQ(PackInMemory(*workers, parts).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

// Which keeps what packing holds beside the matrix small, whatever the matrix.
TEST(PackedMatrix, ReadsEachByteOnceInSmallPieces) {
  std::mt19937 rng(7);
  auto workers = MakeWorkers(3, "", Options());
  const Source a(rng, DType::kQ4_0, 900, 2048), b(rng, DType::kQ4_0, 431, 2048);
  std::mutex mutex;
  std::map<const std::byte*, int> times;
  size_t largest = 0;
  const auto read = [&](const std::byte* from, size_t bytes, std::byte* to) {
    std::memcpy(to, from, bytes);
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < bytes; ++i) ++times[from + i];
    largest = std::max(largest, bytes);
    return absl::OkStatus();
  };
  Pages memory = *workers->Allocate(PackedMatrix::PackedBytes(DType::kQ4_0, 1331, 2048));
  const std::vector<Tensor> parts = {a.tensor, b.tensor};
  ASSERT_TRUE(Pack(*workers, parts, read, memory.data()).ok());
  EXPECT_EQ(times.size(), a.tensor.bytes + b.tensor.bytes);
  for (const auto& [at, count] : times) ASSERT_EQ(count, 1);
  EXPECT_LE(largest, 256u << 10);
}

TEST(PackedMatrix, WhatCannotBeReadIsTheError) {
  std::mt19937 rng(8);
  auto workers = MakeWorkers(2, "", Options());
  const Source source(rng, DType::kF32, 4000, 172);
  const auto read = [&](const std::byte* from, size_t bytes, std::byte* to) {
    if (from - source.tensor.data > 2'000'000) return absl::DataLossError("gone");
    std::memcpy(to, from, bytes);
    return absl::OkStatus();
  };
  Pages memory = *workers->Allocate(PackedMatrix::PackedBytes(DType::kF32, 4000, 172));
  const std::vector<Tensor> parts = {source.tensor};
  EXPECT_EQ(Pack(*workers, parts, read, memory.data()).status(), absl::DataLossError("gone"));
}

TEST(EmbedRows, GivesRowsOfTheTable) {
  std::mt19937 rng(6);
  auto workers = MakeWorkers(2, "", Options());
  for (DType dtype : kDTypes) {
    const int64_t cols = Cols(dtype);
    const Source source(rng, dtype, 100, cols);
    const PackedMatrix table = *PackInMemory(*workers, {source.tensor});
    const std::vector<TokenId> ids = {99, 0, 17, 17, 16, 15};
    std::vector<float> out(ids.size() * cols);
    EmbedRows(*workers, table, ids, out.data());
    // The file's elements, but for what packing rounds: of types of 32 elements a block, half of a
    // 127th of the largest weights (an offset and a range of twice that, with a minimum).
    const bool rounded = Traits(dtype).block_elements == 32 && dtype != DType::kQ8_0;
    const double tolerance = rounded ? 3.1 / 254 : 0x1p-20;
    for (size_t i = 0; i < ids.size(); ++i) {
      std::vector<float> row(cols);
      DecodeRow(dtype, &source.bytes[1 + ids[i] * RowBytes(dtype, cols)], absl::MakeSpan(row));
      for (int64_t k = 0; k < cols; ++k) ASSERT_NEAR(out[i * cols + k], row[k], tolerance);
    }
  }
}

TEST(ToF32, WidensPlainVectors) {
  std::mt19937 rng(7);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Source source(rng, dtype, 1, 21);
    source.tensor.rank = 1;
    source.tensor.dims = {21, 1, 1, 1};
    const absl::StatusOr<std::vector<float>> values = ToF32(source.tensor);
    ASSERT_TRUE(values.ok()) << values.status();
    for (int i = 0; i < 21; ++i) EXPECT_EQ((*values)[i], source.elements[i]);
    source.bytes[1 + 20 * Traits(dtype).block_bytes + Traits(dtype).block_bytes - 1] =
        std::byte{0x7f};
    source.bytes[1 + 20 * Traits(dtype).block_bytes + Traits(dtype).block_bytes - 2] =
        std::byte{0xff};
    source.tensor.name = "output_norm";
    EXPECT_EQ(ToF32(source.tensor).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(ToF32(source.tensor).status().message()), HasSubstr("output_norm"));
    source.tensor.bytes -= 1;
    EXPECT_EQ(ToF32(source.tensor).status().code(), absl::StatusCode::kInvalidArgument);
  }
  Source quantised(rng, DType::kQ8_0, 1, 32);
  quantised.tensor.rank = 1;
  quantised.tensor.dims = {32, 1, 1, 1};
  EXPECT_EQ(ToF32(quantised.tensor).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace hearth::ops
