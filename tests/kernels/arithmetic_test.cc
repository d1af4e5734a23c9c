// scalar.cc against formulas in double. Tolerances follow from the roundings that the definition
// makes: a sum of n products of which each is rounded, added in a chain of length m, is off by at
// most about (m + 1) * epsilon times the sum of the products' magnitudes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/kernels/declarations.h"
#include "engine/kernels/superblock.h"
#include "engine/tensor/detmath.h"
#include "tests/kernels/inputs.h"

namespace hearth::kernels {
namespace {

constexpr double kEpsilon = 0x1p-24;        // of one rounding to nearest
constexpr double kExpError = 4 * kEpsilon;  // 2 ulp

struct Sum {
  double value = 0;
  double magnitude = 0;
  void Add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

// Row `row` of packed weights as f32.
std::vector<float> WeightRow(DType dtype, const PackedRows& w, int64_t row) {
  std::vector<float> out(w.cols);
  const Packing packing = PackingOf(dtype);
  UnpackRow(packing, w.tiles + row / kTileRows * TileBytes(packing, w.cols), row % kTileRows,
            w.cols, out.data());
  return out;
}

TEST(Arithmetic, MatMulOfPlainWeights) {
  Inputs inputs(1);
  constexpr int64_t kRows = 3, kOutputs = 19, kCols = 172;
  const std::pair<DType, MatMulFloatFn*> formats[] = {{DType::kF32, scalar::MatMulF32},
                                                      {DType::kF16, scalar::MatMulF16},
                                                      {DType::kBF16, scalar::MatMulBF16}};
  for (const auto& [dtype, multiply] : formats) {
    Packed w = Pack(dtype, inputs.FileRows(dtype, kOutputs, kCols), kOutputs, kCols);
    const std::vector<float> x = inputs.Values(Kind::kNormal, kRows * kCols);
    std::vector<float> out(kRows * kOutputs);
    multiply(w.view, x.data(), kRows, out.data(), kOutputs);
    for (int64_t n = 0; n < kOutputs; ++n) {
      const std::vector<float> row = WeightRow(dtype, w.view, n);
      for (int64_t m = 0; m < kRows; ++m) {
        Sum sum;
        for (int64_t k = 0; k < kCols; ++k) sum.Add(double{row[k]} * x[m * kCols + k]);
        EXPECT_NEAR(out[m * kOutputs + n], sum.value, (kCols + 1) * kEpsilon * sum.magnitude);
      }
    }
  }
}

// Quantising moves an activation by half a step at most, so an output moves by at most half a
// step times the weights' magnitudes; the float chain adds its roundings.
TEST(Arithmetic, MatMulOfQ8_0) {
  Inputs inputs(2);
  constexpr int64_t kRows = 3, kOutputs = 19, kCols = 1056;
  Packed w = Pack(DType::kQ8_0, inputs.FileRows(DType::kQ8_0, kOutputs, kCols), kOutputs, kCols);
  const std::vector<float> x = inputs.Values(Kind::kNormal, kRows * kCols);
  Quantized quantized(kRows, kCols);
  scalar::QuantizeRows(x.data(), quantized.view());
  std::vector<float> out(kRows * kOutputs);
  scalar::MatMulQ8_0(w.view, quantized.view(), out.data(), kOutputs);
  for (int64_t n = 0; n < kOutputs; ++n) {
    const std::vector<float> row = WeightRow(DType::kQ8_0, w.view, n);
    for (int64_t m = 0; m < kRows; ++m) {
      Sum exact;      // on the activations as given
      Sum quantised;  // on what they were quantised to
      double half_steps = 0;
      for (int64_t k = 0; k < kCols; ++k) {
        const double d = quantized.scales[(m * kCols + k) / 32];
        exact.Add(double{row[k]} * x[m * kCols + k]);
        quantised.Add(row[k] * d * quantized.values[m * kCols + k]);
        half_steps += std::abs(row[k]) * d / 2;
      }
      const float actual = out[m * kOutputs + n];
      const double roundings = (kCols / 32 + 4) * kEpsilon * quantised.magnitude;
      EXPECT_NEAR(actual, quantised.value, roundings);
      EXPECT_NEAR(actual, exact.value, half_steps * (1 + 256 * kEpsilon) + roundings);
    }
  }
}

struct SuperFormat {
  DType dtype;
  MatMulSuperFn* multiply;
};
constexpr SuperFormat kSuperFormats[] = {
    {DType::kQ4_0, scalar::MatMulInt4},    {DType::kQ4_1, scalar::MatMulInt4Min},
    {DType::kQ5_0, scalar::MatMulInt5},    {DType::kQ4_K, scalar::MatMulInt4Min},
    {DType::kQ5_K, scalar::MatMulInt5Min}, {DType::kQ6_K, scalar::MatMulInt6}};

// Code k of a superblock, as layout.h says where its bits are.
int CodeOf(const Superblock& block, int64_t k, const SuperLayout& layout) {
  const int64_t b = k / 32, half = k % 32 / 16, j = k % 16 / 4, i = k % 4;
  const uint32_t low = block.nibbles[4 * b + j] >> (8 * i + 4 * half) & 15;
  uint32_t high = 0;
  if (layout.high_bits == 1) high = block.high_bits[b] >> (8 * i + 4 * half + j) & 1;
  if (layout.high_bits == 2) high = block.high_bits[2 * b + half] >> (8 * i + 2 * j) & 3;
  return static_cast<int>(low | high << 4);
}

// The weights that a row of a file stands for once its scales are multiples of a common one: from
// the multipliers' part and from the minima's.
struct SuperWeights {
  std::vector<double> scaled;
  std::vector<double> minimum;
};

SuperWeights WeightsOf(DType dtype, const std::byte* row, int64_t cols) {
  const SuperLayout layout = LayoutOf(PackingOf(dtype));
  SuperWeights weights;
  Superblock block;
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t i = k % kSuperblock;
    if (i == 0) {
      block = {};
      EXPECT_TRUE(ReadSuperblock(dtype, row, cols, k / kSuperblock, &block));
    }
    const double n = block.multipliers[i / layout.multiplier_elements];
    weights.scaled.push_back(F16ToF32(block.scale) * n *
                             (CodeOf(block, i, layout) - layout.offset));
    weights.minimum.push_back(
        layout.minima ? double{F16ToF32(block.minimum_scale)} * block.minima[i / 32] : 0.0);
  }
  return weights;
}

TEST(Arithmetic, MatMulOfIntFormats) {
  Inputs inputs(14);
  constexpr int64_t kRows = 3, kOutputs = 19;
  for (const auto& [dtype, multiply] : kSuperFormats) {
    const int64_t cols = SomeCols(dtype);
    const std::vector<std::byte> file = inputs.FileRows(dtype, kOutputs, cols);
    Packed w = Pack(dtype, file, kOutputs, cols);
    const std::vector<float> x = inputs.Values(Kind::kNormal, kRows * cols);
    Super super(kRows, cols);
    scalar::QuantizeSuperRows(x.data(), super.view());
    const SuperRows view = super.view();
    std::vector<float> out(kRows * kOutputs);
    multiply(w.view, view, out.data(), kOutputs);
    for (int64_t n = 0; n < kOutputs; ++n) {
      const SuperWeights row = WeightsOf(dtype, &file[n * RowBytes(dtype, cols)], cols);
      for (int64_t m = 0; m < kRows; ++m) {
        Sum exact;
        Sum quantised;
        double half_steps = 0;
        for (int64_t k = 0; k < cols; ++k) {
          const double d = view.scales[(m * view.padded() + k) / kActivationBlock];
          const double q = view.values[m * view.stride() + k];
          exact.Add((row.scaled[k] + row.minimum[k]) * x[m * cols + k]);
          quantised.Add(row.scaled[k] * d * q);
          quantised.Add(row.minimum[k] * d * q);
          half_steps += std::abs(row.scaled[k] + row.minimum[k]) * d / 2;
        }
        const float actual = out[m * kOutputs + n];
        const double roundings = (static_cast<double>(view.padded()) / kActivationBlock + 5) *
                                 kEpsilon * quantised.magnitude;
        EXPECT_NEAR(actual, quantised.value, roundings) << Traits(dtype).name;
        EXPECT_NEAR(actual, exact.value, half_steps * (1 + 256 * kEpsilon) + roundings)
            << Traits(dtype).name;
      }
    }
  }
}

TEST(Arithmetic, QuantizeSuperRowsSumsAndPads) {
  Inputs inputs(15);
  constexpr int64_t kRows = 2, kCols = 352;
  const std::vector<float> x = inputs.Values(Kind::kNormal, kRows * kCols);
  Super super(kRows, kCols);
  scalar::QuantizeSuperRows(x.data(), super.view());
  const SuperRows view = super.view();
  for (int64_t m = 0; m < kRows; ++m) {
    const int8_t* values = view.values + m * view.stride();
    int32_t sum = 0;
    for (int64_t k = 0; k < view.padded(); ++k) {
      const double d = view.scales[(m * view.padded() + k) / kActivationBlock];
      if (k < kCols) {
        EXPECT_NEAR(values[k] * d, x[m * kCols + k], d * (0.5 + 127 * 4 * kEpsilon));
      } else {
        EXPECT_EQ(values[k], 0);
      }
      sum += values[k];
      if (k % 16 != 15) continue;
      EXPECT_EQ(view.sums[(m * view.padded() + k) / 16], std::exchange(sum, 0));
    }
  }
}

TEST(Arithmetic, QuantizeRowsStaysWithinHalfAStep) {
  Inputs inputs(3);
  for (Kind kind : {Kind::kNormal, Kind::kHuge, Kind::kZeros, Kind::kMixed}) {
    const std::vector<float> x = inputs.Values(kind, 320);
    Quantized q(10, 32);
    scalar::QuantizeRows(x.data(), q.view());
    for (int64_t b = 0; b < 10; ++b) {
      int32_t sum = 0;
      for (int64_t i = b * 32; i < (b + 1) * 32; ++i) {
        const double d = q.scales[b];
        const double subnormal = 127 * 0x1p-149;  // d itself is rounded to such steps
        EXPECT_NEAR(q.values[i] * d, x[i], d * (0.5 + 127 * 4 * kEpsilon) + subnormal);
        sum += q.values[i];
      }
      EXPECT_EQ(q.offset[b], -128 * sum);
    }
  }
}

TEST(Arithmetic, QuantizeRowsTakesSubnormalBlocksWithoutOverflow) {
  // 190 of the smallest subnormals over 127 rounds to one of them: the quotient, 190, is clamped.
  std::vector<float> x(32, 190 * 0x1p-149f);
  x[1] = -x[1];
  Quantized q(1, 32);
  scalar::QuantizeRows(x.data(), q.view());
  EXPECT_EQ(q.scales[0], 0x1p-149f);
  EXPECT_EQ(q.values[0], 127);
  EXPECT_EQ(q.values[1], -127);
}

TEST(Arithmetic, PoisonStaysInItsRow) {
  Inputs inputs(4);
  constexpr int64_t kOutputs = 16, kCols = 256;
  for (DType dtype : kDTypes) {
    if (!IsQuantized(dtype)) continue;
    Packed w = Pack(dtype, inputs.FileRows(dtype, kOutputs, kCols), kOutputs, kCols);
    for (float poison :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      std::vector<float> x = inputs.Values(Kind::kNormal, 3 * kCols);
      x[kCols + 40] = poison;
      std::vector<float> out(3 * kOutputs);
      if (PackingOf(dtype) == Packing::kQ8_0) {
        Quantized q(3, kCols);
        scalar::QuantizeRows(x.data(), q.view());
        scalar::MatMulQ8_0(w.view, q.view(), out.data(), kOutputs);
      } else {
        Super q(3, kCols);
        scalar::QuantizeSuperRows(x.data(), q.view());
        std::find_if(std::begin(kSuperFormats), std::end(kSuperFormats), [&](const auto& format) {
          return format.dtype == dtype;
        })->multiply(w.view, q.view(), out.data(), kOutputs);
      }
      for (int64_t n = 0; n < kOutputs; ++n) {
        EXPECT_TRUE(std::isfinite(out[n]));
        EXPECT_EQ(std::bit_cast<uint32_t>(out[kOutputs + n]), 0x7fc00000u);
        EXPECT_TRUE(std::isfinite(out[2 * kOutputs + n]));
      }
    }
  }
}

TEST(Arithmetic, RmsNorm) {
  Inputs inputs(5);
  for (int64_t n : {1, 17, 64, 3072}) {
    const std::vector<float> x = inputs.Values(Kind::kNormal, n);
    const std::vector<float> weight = inputs.Values(Kind::kNormal, n);
    std::vector<float> out(n);
    scalar::RmsNorm(x.data(), n, weight.data(), 1e-5f, out.data());
    double squares = 0;
    for (float value : x) squares += double{value} * value;
    const double r = 1 / std::sqrt(squares / n + 1e-5f);
    // The sum is a chain of n / 16 and a tree of 4, halved by the root; then 1/sqrt, two products.
    const double tolerance = ((n / 16.0 + 7) / 2 + 4) * kEpsilon;
    for (int64_t i = 0; i < n; ++i) {
      const double expected = x[i] * r * weight[i];
      EXPECT_NEAR(out[i], expected, tolerance * std::abs(expected));
    }
  }
}

TEST(Arithmetic, Add) {
  std::vector<float> x = {1.0f, -2.5f, 0x1p24f};
  const std::vector<float> y = {0.5f, 2.5f, 1.0f};
  scalar::Add(x.data(), y.data(), 3);
  EXPECT_EQ(x, (std::vector<float>{1.5f, 0.0f, 0x1p24f}));  // the last: ties to even
}

TEST(Arithmetic, SwiGlu) {
  std::vector<float> gate, up, out;
  for (float g = -85.0f; g < 85.0f; g += 0.37f) gate.push_back(g);
  up.assign(gate.size(), 1.5f);
  out.resize(gate.size());
  scalar::SwiGlu(gate.data(), up.data(), gate.size(), out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * 1.5;
    EXPECT_NEAR(out[i], expected, (kExpError + 4 * kEpsilon) * std::abs(expected));
  }
}

TEST(Arithmetic, RopeTurnsBothPairings) {
  Inputs inputs(6);
  constexpr int64_t kPairs = 24, kDim = 64, kHeads = 2;
  std::vector<float> cosine(kPairs), sine(kPairs);
  for (int64_t i = 0; i < kPairs; ++i) {
    cosine[i] = static_cast<float>(std::cos(0.3 * i));
    sine[i] = static_cast<float>(std::sin(0.3 * i));
  }
  for (bool adjacent : {false, true}) {
    const std::vector<float> before = inputs.Values(Kind::kNormal, kHeads * kDim);
    std::vector<float> after = before;
    (adjacent ? scalar::RopeAdjacent : scalar::RopeHalves)(after.data(), kHeads, kDim, kPairs,
                                                           cosine.data(), sine.data());
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t i = 0; i < kPairs; ++i) {
        const int64_t a = h * kDim + (adjacent ? 2 * i : i);
        const int64_t b = h * kDim + (adjacent ? 2 * i + 1 : kPairs + i);
        const double tolerance = 3 * kEpsilon * (std::abs(before[a]) + std::abs(before[b]));
        EXPECT_NEAR(after[a], double{before[a]} * cosine[i] - double{before[b]} * sine[i],
                    tolerance);
        EXPECT_NEAR(after[b], double{before[b]} * cosine[i] + double{before[a]} * sine[i],
                    tolerance);
      }
      for (int64_t i = 2 * kPairs; i < kDim; ++i) {
        EXPECT_EQ(after[h * kDim + i], before[h * kDim + i]);
      }
    }
  }
}

TEST(Arithmetic, QuantizeKv) {
  Inputs inputs(7);
  const std::vector<float> x = inputs.Values(Kind::kNormal, 128);
  std::vector<int8_t> q(128);
  uint16_t scale;
  scalar::QuantizeKv(x.data(), 128, q.data(), &scale);
  const double d = F16ToF32(scale);
  // Half a step, and what the largest loses when the scale is rounded down to f16 (2^-11).
  for (int i = 0; i < 128; ++i) EXPECT_NEAR(q[i] * d, x[i], d * (0.5 + 128 * 0x1p-11));

  std::vector<float> zeros(8, -0.0f);
  scalar::QuantizeKv(zeros.data(), 8, q.data(), &scale);
  EXPECT_EQ(scale, 0);
  EXPECT_EQ(q[3], 0);
  zeros[5] = std::numeric_limits<float>::infinity();
  scalar::QuantizeKv(zeros.data(), 8, q.data(), &scale);
  EXPECT_EQ(scale, 0x7e00);
  EXPECT_EQ(q[5], 0);
}

TEST(Arithmetic, NarrowKv) {
  const std::vector<float> x = {1.0f, 65504.0f, 65520.0f, -0x1p-24f, 1.0f + 0x1p-11f};
  std::vector<uint16_t> narrow(x.size());
  scalar::NarrowKv(x.data(), x.size(), narrow.data());
  EXPECT_EQ(narrow, (std::vector<uint16_t>{0x3c00, 0x7bff, 0x7c00, 0x8001, 0x3c00}));
}

TEST(Arithmetic, QkAndPv) {
  Inputs inputs(8);
  constexpr int64_t kRows = 3, kTokens = 7;
  for (int64_t dim : {8, 96, 128}) {
    for (DType stored : {DType::kF16, DType::kF32}) {
      std::vector<float> f32 = inputs.Values(Kind::kNormal, kTokens * dim);
      std::vector<uint16_t> f16(kTokens * dim);
      std::vector<double> element(kTokens * dim);
      for (int64_t i = 0; i < kTokens * dim; ++i) {
        f16[i] = F32ToF16(f32[i]);
        element[i] = stored == DType::kF16 ? F16ToF32(f16[i]) : f32[i];
      }
      const std::vector<float> q = inputs.Values(Kind::kNormal, kRows * dim);
      const std::vector<float> p = inputs.Values(Kind::kNormal, kRows * kTokens);
      std::vector<float> scores(kRows * kTokens), out(kRows * dim, 0.0f);
      if (stored == DType::kF16) {
        scalar::QkF16(q.data(), kRows, f16.data(), kTokens, dim, scores.data(), kTokens);
        scalar::PvF16(p.data(), kTokens, kRows, f16.data(), kTokens, dim, out.data());
      } else {
        scalar::QkF32(q.data(), kRows, f32.data(), kTokens, dim, scores.data(), kTokens);
        scalar::PvF32(p.data(), kTokens, kRows, f32.data(), kTokens, dim, out.data());
      }
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t t = 0; t < kTokens; ++t) {
          Sum sum;
          for (int64_t i = 0; i < dim; ++i) sum.Add(q[r * dim + i] * element[t * dim + i]);
          EXPECT_NEAR(scores[r * kTokens + t], sum.value,
                      (dim / 16 + 7) * kEpsilon * sum.magnitude);
        }
        for (int64_t i = 0; i < dim; ++i) {
          Sum sum;
          for (int64_t t = 0; t < kTokens; ++t) {
            sum.Add(p[r * kTokens + t] * element[t * dim + i]);
          }
          EXPECT_NEAR(out[r * dim + i], sum.value, (kTokens + 2) * kEpsilon * sum.magnitude);
        }
      }
    }
  }
}

// Quantising a query moves an element by half a step at most; then the sum is exact.
TEST(Arithmetic, QkInt8) {
  Inputs inputs(19);
  constexpr int64_t kRows = 3, kTokens = 7;
  for (int64_t dim : {1, 8, 99, 128}) {
    std::vector<int8_t> keys(kCacheBlock * PaddedHead(dim), 77);
    std::vector<uint16_t> scales(kTokens);
    for (uint16_t& scale : scales) scale = F32ToF16(0.01f * (1 + inputs.Below(50)));
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t i = 0; i < PaddedHead(dim); ++i) {
        keys[KeyIndex(t, i)] = i < dim ? static_cast<int8_t>(inputs.Below(255) - 127) : 0;
      }
    }
    const std::vector<float> x = inputs.Values(Kind::kNormal, kRows * dim);
    std::vector<int8_t> values(kRows * PaddedHead(dim));
    std::vector<float> q_scales(kRows);
    std::vector<int32_t> offset(kRows);
    const QuantizedHeads q = {values.data(), q_scales.data(), offset.data(), kRows, dim};
    scalar::QuantizeHeads(x.data(), q);
    std::vector<float> scores(kRows * kTokens);
    scalar::QkInt8(q, keys.data(), scales.data(), kTokens, scores.data(), kTokens);
    for (int64_t r = 0; r < kRows; ++r) {
      int32_t sum = 0;
      for (int64_t i = 0; i < PaddedHead(dim); ++i) sum += values[r * PaddedHead(dim) + i];
      EXPECT_EQ(offset[r], -128 * sum);
      for (int64_t t = 0; t < kTokens; ++t) {
        Sum exact;
        double half_steps = 0;
        for (int64_t i = 0; i < dim; ++i) {
          const double key = double{F16ToF32(scales[t])} * keys[KeyIndex(t, i)];
          exact.Add(x[r * dim + i] * key);
          half_steps += std::abs(key) * q_scales[r] / 2;
        }
        EXPECT_NEAR(scores[r * kTokens + t], exact.value,
                    half_steps * (1 + 256 * kEpsilon) + 4 * kEpsilon * exact.magnitude);
      }
    }
  }
}

TEST(Arithmetic, QuantizeWeightsAndPvInt8) {
  Inputs inputs(20);
  constexpr int64_t kTokens = 45, kDim = 20;  // a whole block and part of another
  std::vector<uint16_t> f16(2 * kCacheBlock);
  for (uint16_t& scale : f16) scale = F32ToF16(0.01f * (1 + inputs.Below(50)));
  const uint16_t* scales[] = {f16.data(), f16.data() + kCacheBlock};
  std::vector<int8_t> values(2 * kCacheBlock * kDim);
  for (int8_t& value : values) value = static_cast<int8_t>(inputs.Below(255) - 127);
  const std::vector<float> p = [&] {
    std::vector<float> weights = inputs.Values(Kind::kNormal, kTokens);
    for (float& weight : weights) weight = std::abs(weight);
    return weights;
  }();
  std::vector<float> scaled = p;
  std::vector<int16_t> w(kChunkTokens, 99);
  const float d = scalar::QuantizeWeights(scaled.data(), scales, kTokens, w.data());
  for (int64_t t = kTokens; t < kChunkTokens; ++t) EXPECT_EQ(w[t], 0);
  const int8_t* blocks[] = {values.data(), values.data() + kCacheBlock * kDim};
  std::vector<float> sums(kDim);
  scalar::PvInt8(w.data(), &d, 1, blocks, kTokens, kDim, sums.data());
  for (int64_t i = 0; i < kDim; ++i) {
    Sum exact;
    double half_steps = 0;
    for (int64_t t = 0; t < kTokens; ++t) {
      const double value = values[t / 32 * kCacheBlock * kDim + ValueIndex(t % 32, i, kDim)];
      exact.Add(p[t] * double{F16ToF32(f16[t])} * value);
      half_steps += std::abs(value) * d / 2;
    }
    EXPECT_NEAR(sums[i], exact.value, half_steps * (1 + 1e-3) + 4 * kEpsilon * exact.magnitude);
  }
}

TEST(Arithmetic, SoftmaxIsExpOfTheDifferenceFromTheMaximum) {
  // Sweeps Exp over all of its negative range, the ends of it included.
  for (float start = 0.0f; start > -110.0f; start -= 2.55f) {
    std::vector<float> scores(256);
    for (int i = 1; i < 256; ++i) scores[i] = start - 0.01f * i;
    const std::vector<float> before = scores;
    float max, sum;
    scalar::Softmax(scores.data(), 256, &max, &sum);
    EXPECT_EQ(max, 0.0f);
    double total = 0;
    for (int i = 0; i < 256; ++i) {
      EXPECT_EQ(scores[i], detmath::Exp(before[i]));
      const double expected = before[i] < detmath::expf::kMin ? 0 : std::exp(double{before[i]});
      EXPECT_NEAR(scores[i], expected, kExpError * expected);
      total += scores[i];
    }
    EXPECT_NEAR(sum, total, (256 / 16 + 4) * kEpsilon * total);
  }
}

TEST(Arithmetic, FoldIsTheSoftmaxOfBothChunks) {
  Inputs inputs(9);
  constexpr int64_t kDim = 20;
  for (const auto& [total_max, chunk_max] : {std::pair{1.5f, -3.0f}, {-3.0f, 1.5f}, {2.0f, 2.0f}}) {
    const std::vector<float> total_out = inputs.Values(Kind::kNormal, kDim);
    std::vector<float> out = total_out;
    std::vector<float> chunk_out = inputs.Values(Kind::kNormal, kDim);
    float max = total_max, sum = 3.0f, other_max = chunk_max, other_sum = 5.0f;
    scalar::Fold({&max, &sum, out.data()}, {&other_max, &other_sum, chunk_out.data()}, kDim);
    EXPECT_EQ(max, std::max(total_max, chunk_max));
    const double a = std::exp(double{total_max} - max);
    const double b = std::exp(double{chunk_max} - max);
    constexpr double kTolerance = kExpError + 3 * kEpsilon;
    EXPECT_NEAR(sum, 3 * a + 5 * b, kTolerance * (3 * a + 5 * b));
    for (int64_t i = 0; i < kDim; ++i) {
      EXPECT_NEAR(out[i], total_out[i] * a + chunk_out[i] * b,
                  kTolerance * (std::abs(total_out[i] * a) + std::abs(chunk_out[i] * b)));
    }
  }
}

}  // namespace
}  // namespace hearth::kernels
