// Every row of the kernel table against scalar.cc, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/declarations.h"
#include "tests/kernels/inputs.h"

namespace hearth::kernels {
namespace {

// What lies around outputs: no kernel may write it.
constexpr float kUntouched = 1234.5f;

template <typename T>
void ExpectSameBits(const std::vector<T>& actual, const std::vector<T>& expected,
                    const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  if (std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(T)) == 0) return;
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(std::memcmp(&actual[i], &expected[i], sizeof(T)), 0)
        << what << ": element " << i << " is " << +actual[i] << ", scalar gives " << +expected[i];
  }
}

std::string Name(Kind kind, std::initializer_list<int64_t> sizes) {
  std::string name = absl::StrCat("kind ", static_cast<int>(kind), ", sizes");
  for (int64_t size : sizes) absl::StrAppend(&name, " ", size);
  return name;
}

constexpr int64_t kLengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 128, 172, 257};
constexpr int64_t kHeadDims[] = {1, 3, 8, 16, 24, 40, 64, 80, 96, 100, 128, 256};
constexpr int64_t kOutputRows[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 50, 64};

void CheckQuantizeRows(QuantizeRowsFn* fn, QuantizeRowsFn* scalar) {
  Inputs inputs(1);
  for (Kind kind : kKinds) {
    for (int64_t rows : {1, 3}) {
      for (int64_t cols : {32, 64, 1056}) {
        const std::vector<float> x = inputs.Values(kind, rows * cols);
        Quantized actual(rows, cols);
        Quantized expected(rows, cols);
        fn(x.data(), actual.view());
        scalar(x.data(), expected.view());
        const std::string name = Name(kind, {rows, cols});
        ExpectSameBits(actual.values, expected.values, name);
        ExpectSameBits(actual.scales, expected.scales, name);
        ExpectSameBits(actual.offset, expected.offset, name);
      }
    }
  }
}

// The shapes that both kinds of product are tried with: every row count of x up to 17, and 64.
template <typename Check>
void ForEachProduct(std::initializer_list<int64_t> all_cols, Check check) {
  for (int64_t cols : all_cols) {
    for (int64_t outputs : kOutputRows) {
      if (cols > 200 && outputs % 16 != 1) continue;
      for (int64_t rows = 1; rows <= 17; ++rows) check(cols, outputs, rows);
    }
    check(cols, 33, 64);
    check(cols, 48, 125);
  }
}

void CheckPlain(DType dtype, MatMulFloatFn* fn, MatMulFloatFn* scalar) {
  Inputs inputs(2);
  int turn = 0;
  ForEachProduct({1, 32, 172, 1056}, [&](int64_t cols, int64_t outputs, int64_t rows) {
    const Kind kind = kKinds[turn++ % std::size(kKinds)];
    Packed w = Pack(dtype, inputs.FileRows(dtype, outputs, cols), outputs, cols);
    const std::vector<float> x = inputs.Values(kind, rows * cols);
    const int64_t stride = outputs + 5;
    std::vector<float> actual(rows * stride, kUntouched);
    std::vector<float> expected = actual;
    fn(w.view, x.data(), rows, actual.data(), stride);
    scalar(w.view, x.data(), rows, expected.data(), stride);
    ExpectSameBits(actual, expected, Name(kind, {cols, outputs, rows}));
  });
}

void CheckMatMulF32(MatMulFloatFn* fn, MatMulFloatFn* scalar) {
  CheckPlain(DType::kF32, fn, scalar);
}
void CheckMatMulF16(MatMulFloatFn* fn, MatMulFloatFn* scalar) {
  CheckPlain(DType::kF16, fn, scalar);
}
void CheckMatMulBF16(MatMulFloatFn* fn, MatMulFloatFn* scalar) {
  CheckPlain(DType::kBF16, fn, scalar);
}

void CheckBlocks(DType dtype, MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  Inputs inputs(3);
  int turn = 0;
  ForEachProduct({32, 64, 96, 1056}, [&](int64_t cols, int64_t outputs, int64_t rows) {
    const Kind kind = kKinds[turn++ % std::size(kKinds)];
    Packed w = Pack(dtype, inputs.FileRows(dtype, outputs, cols), outputs, cols);
    Quantized x(rows, cols);
    scalar::QuantizeRows(inputs.Values(kind, rows * cols).data(), x.view());
    const int64_t stride = outputs + 5;
    std::vector<float> actual(rows * stride, kUntouched);
    std::vector<float> expected = actual;
    fn(w.view, x.view(), actual.data(), stride);
    scalar(w.view, x.view(), expected.data(), stride);
    ExpectSameBits(actual, expected, Name(kind, {cols, outputs, rows}));
  });
}

// All weights and all activations at the ends of their ranges, where sums in few bits overflow.
void CheckExtremes(DType dtype, MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  constexpr int64_t kCols = 64;
  for (int weight : {-128, 127, 0, 255, 0x88, 0xf0, 0x0f}) {
    for (float activation : {-1.0f, 1.0f}) {
      std::vector<std::byte> file(16 * RowBytes(dtype, kCols), static_cast<std::byte>(weight));
      for (size_t at = 0; at < file.size(); at += Traits(dtype).block_bytes) {
        const uint16_t one = 0x3c00;
        std::memcpy(&file[at], &one, sizeof(one));
      }
      Packed w = Pack(dtype, file, 16, kCols);
      for (int64_t rows : {1, 2, 4, 6, 9}) {
        Quantized x(rows, kCols);
        scalar::QuantizeRows(std::vector<float>(rows * kCols, activation).data(), x.view());
        std::vector<float> actual(rows * 16);
        std::vector<float> expected(rows * 16);
        fn(w.view, x.view(), actual.data(), 16);
        scalar(w.view, x.view(), expected.data(), 16);
        ExpectSameBits(actual, expected, absl::StrCat("weight byte ", weight));
        const int q = dtype == DType::kQ8_0 ? static_cast<int8_t>(weight) : 0;
        if (dtype == DType::kQ8_0) {
          EXPECT_NEAR(expected[0], q * activation * kCols, 1e-3f * kCols);
        }
      }
    }
  }
}

void CheckMatMulQ8_0(MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  CheckBlocks(DType::kQ8_0, fn, scalar);
  CheckExtremes(DType::kQ8_0, fn, scalar);
}
void CheckMatMulQ4_0(MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  CheckBlocks(DType::kQ4_0, fn, scalar);
  CheckExtremes(DType::kQ4_0, fn, scalar);
}

void CheckRmsNorm(RmsNormFn* fn, RmsNormFn* scalar) {
  Inputs inputs(4);
  for (Kind kind : kKinds) {
    for (int64_t n : kLengths) {
      const std::vector<float> x = inputs.Values(kind, n);
      const std::vector<float> weight = inputs.Values(Kind::kNormal, n);
      std::vector<float> actual(n + 5, kUntouched);
      std::vector<float> expected = actual;
      fn(x.data(), n, weight.data(), 1e-5f, actual.data());
      scalar(x.data(), n, weight.data(), 1e-5f, expected.data());
      ExpectSameBits(actual, expected, Name(kind, {n}));
      std::vector<float> in_place = x;
      fn(in_place.data(), n, weight.data(), 1e-5f, in_place.data());
      expected.resize(n);
      ExpectSameBits(in_place, expected, absl::StrCat(Name(kind, {n}), ", in place"));
    }
  }
}

void CheckAdd(AddFn* fn, AddFn* scalar) {
  Inputs inputs(5);
  for (Kind kind : kKinds) {
    for (int64_t n : kLengths) {
      std::vector<float> actual = inputs.Values(kind, n + 5);
      std::vector<float> expected = actual;
      const std::vector<float> y = inputs.Values(kind, n);
      fn(actual.data(), y.data(), n);
      scalar(expected.data(), y.data(), n);
      ExpectSameBits(actual, expected, Name(kind, {n}));
    }
  }
}

void CheckSwiGlu(SwiGluFn* fn, SwiGluFn* scalar) {
  Inputs inputs(6);
  for (Kind kind : kKinds) {
    for (int64_t n : kLengths) {
      std::vector<float> gate = inputs.Values(kind, n);
      if (kind == Kind::kNormal) {
        for (float& g : gate) g *= 35.0f;  // past both ends of Exp's range
      }
      const std::vector<float> up = inputs.Values(kind, n);
      std::vector<float> actual(n + 5, kUntouched);
      std::vector<float> expected = actual;
      fn(gate.data(), up.data(), n, actual.data());
      scalar(gate.data(), up.data(), n, expected.data());
      ExpectSameBits(actual, expected, Name(kind, {n}));
    }
  }
}

void CheckRope(RopeFn* fn, RopeFn* scalar) {
  Inputs inputs(7);
  for (Kind kind : kKinds) {
    for (int64_t pairs : {1, 2, 3, 4, 5, 8, 12, 15, 16, 17, 32, 48, 64}) {
      for (int64_t heads : {1, 3}) {
        const int64_t stride = 2 * pairs + 3;
        std::vector<float> actual = inputs.Values(kind, heads * stride);
        std::vector<float> expected = actual;
        const std::vector<float> cosine = inputs.Values(Kind::kNormal, pairs);
        const std::vector<float> sine = inputs.Values(Kind::kNormal, pairs);
        fn(actual.data(), heads, stride, pairs, cosine.data(), sine.data());
        scalar(expected.data(), heads, stride, pairs, cosine.data(), sine.data());
        ExpectSameBits(actual, expected, Name(kind, {pairs, heads}));
      }
    }
  }
}
void CheckRopeHalves(RopeFn* fn, RopeFn* scalar) { CheckRope(fn, scalar); }
void CheckRopeAdjacent(RopeFn* fn, RopeFn* scalar) { CheckRope(fn, scalar); }

void CheckQuantizeKv(QuantizeKvFn* fn, QuantizeKvFn* scalar) {
  Inputs inputs(8);
  for (Kind kind : kKinds) {
    for (int64_t n : kHeadDims) {
      for (float factor : {1.0f, 1e-5f, 1e-7f, 1e8f}) {  // f16 scales: subnormal, zero, infinite
        std::vector<float> x = inputs.Values(kind, n);
        for (float& value : x) value *= factor;
        std::vector<int8_t> actual(n + 5, 77);
        std::vector<int8_t> expected = actual;
        std::vector<uint16_t> actual_scale = {1};
        std::vector<uint16_t> expected_scale = {2};
        fn(x.data(), n, actual.data(), actual_scale.data());
        scalar(x.data(), n, expected.data(), expected_scale.data());
        ExpectSameBits(actual, expected, Name(kind, {n}));
        ExpectSameBits(actual_scale, expected_scale, Name(kind, {n}));
      }
    }
  }
}

void CheckNarrowKv(NarrowKvFn* fn, NarrowKvFn* scalar) {
  Inputs inputs(9);
  for (Kind kind : kKinds) {
    for (int64_t n : kHeadDims) {
      for (float factor : {1.0f, 1e-7f, 3e4f}) {
        std::vector<float> x = inputs.Values(kind, n);
        for (float& value : x) value *= factor;
        std::vector<uint16_t> actual(n + 5, 77);
        std::vector<uint16_t> expected = actual;
        fn(x.data(), n, actual.data());
        scalar(x.data(), n, expected.data());
        ExpectSameBits(actual, expected, Name(kind, {n}));
      }
    }
  }
}

struct CachedHead {
  CachedHead(Inputs& inputs, int64_t tokens, int64_t head_dim, bool special)
      : int8(tokens * head_dim),
        f16(tokens * head_dim),
        f32(inputs.Values(special ? Kind::kSpecial : Kind::kNormal, tokens * head_dim)),
        scales(tokens) {
    for (int8_t& value : int8) value = static_cast<int8_t>(inputs.Below(255) - 127);
    for (uint16_t& value : f16) value = inputs.FiniteF16();
    for (uint16_t& value : scales) value = inputs.FiniteF16();
    if (special) {  // a poisoned token, and an overflowed one
      scales[inputs.Below(static_cast<int32_t>(tokens))] = 0x7e00;
      scales[inputs.Below(static_cast<int32_t>(tokens))] = 0x7c00;
      f16[inputs.Below(static_cast<int32_t>(f16.size()))] = 0xfe01;
      f16[inputs.Below(static_cast<int32_t>(f16.size()))] = 0x7c00;
    }
  }
  std::vector<int8_t> int8;
  std::vector<uint16_t> f16;
  std::vector<float> f32;
  std::vector<uint16_t> scales;
};

template <typename Check>
void ForEachCachedHead(Check check) {
  int turn = 0;
  for (int64_t head_dim : kHeadDims) {
    for (int64_t tokens : {1, 2, 3, 4, 5, 7, 16, 31, 32}) {
      for (int64_t rows : {1, 2, 3, 4, 5, 7, 8, 12}) {
        check(kKinds[turn++ % std::size(kKinds)], head_dim, tokens, rows);
      }
    }
  }
}

template <typename Call>
void CheckQk(Call call) {
  Inputs inputs(10);
  ForEachCachedHead([&](Kind kind, int64_t head_dim, int64_t tokens, int64_t rows) {
    const CachedHead keys(inputs, tokens, head_dim, kind == Kind::kSpecial);
    const std::vector<float> q = inputs.Values(kind, rows * head_dim);
    const int64_t stride = tokens + 3;
    std::vector<float> actual(rows * stride, kUntouched);
    std::vector<float> expected = actual;
    call(q, rows, keys, tokens, head_dim, actual, expected, stride);
    ExpectSameBits(actual, expected, Name(kind, {head_dim, tokens, rows}));
  });
}

void CheckQkInt8(QkInt8Fn* fn, QkInt8Fn* scalar) {
  CheckQk([=](const auto& q, int64_t rows, const CachedHead& k, int64_t tokens, int64_t dim,
              auto& actual, auto& expected, int64_t stride) {
    fn(q.data(), rows, k.int8.data(), k.scales.data(), tokens, dim, actual.data(), stride);
    scalar(q.data(), rows, k.int8.data(), k.scales.data(), tokens, dim, expected.data(), stride);
  });
}
void CheckQkF16(QkF16Fn* fn, QkF16Fn* scalar) {
  CheckQk([=](const auto& q, int64_t rows, const CachedHead& k, int64_t tokens, int64_t dim,
              auto& actual, auto& expected, int64_t stride) {
    fn(q.data(), rows, k.f16.data(), tokens, dim, actual.data(), stride);
    scalar(q.data(), rows, k.f16.data(), tokens, dim, expected.data(), stride);
  });
}
void CheckQkF32(QkF32Fn* fn, QkF32Fn* scalar) {
  CheckQk([=](const auto& q, int64_t rows, const CachedHead& k, int64_t tokens, int64_t dim,
              auto& actual, auto& expected, int64_t stride) {
    fn(q.data(), rows, k.f32.data(), tokens, dim, actual.data(), stride);
    scalar(q.data(), rows, k.f32.data(), tokens, dim, expected.data(), stride);
  });
}

void CheckSoftmax(SoftmaxFn* fn, SoftmaxFn* scalar) {
  Inputs inputs(11);
  for (Kind kind : kKinds) {
    for (int64_t n = 1; n <= 256; n = n < 40 ? n + 1 : n + 27) {
      std::vector<float> scores = inputs.Values(kind, n);
      if (kind == Kind::kNormal) {
        for (float& score : scores) score *= 20.0f;  // differences past the end of Exp's range
      }
      scores.resize(n + 5, kUntouched);
      std::vector<float> expected = scores;
      std::vector<float> actual_ends(2);
      std::vector<float> expected_ends(2);
      fn(scores.data(), n, &actual_ends[0], &actual_ends[1]);
      scalar(expected.data(), n, &expected_ends[0], &expected_ends[1]);
      ExpectSameBits(scores, expected, Name(kind, {n}));
      ExpectSameBits(actual_ends, expected_ends, Name(kind, {n}));
    }
  }
}

template <typename Call>
void CheckPv(Call call) {
  Inputs inputs(12);
  ForEachCachedHead([&](Kind kind, int64_t head_dim, int64_t tokens, int64_t rows) {
    const CachedHead values(inputs, tokens, head_dim, kind == Kind::kSpecial);
    const int64_t stride = tokens + 3;
    const std::vector<float> p = inputs.Values(kind, rows * stride);
    std::vector<float> actual = inputs.Values(Kind::kNormal, rows * head_dim);
    actual.resize(actual.size() + 5, kUntouched);
    std::vector<float> expected = actual;
    call(p, stride, rows, values, tokens, head_dim, actual, expected);
    ExpectSameBits(actual, expected, Name(kind, {head_dim, tokens, rows}));
  });
}

void CheckPvInt8(PvInt8Fn* fn, PvInt8Fn* scalar) {
  CheckPv([=](const auto& p, int64_t stride, int64_t rows, const CachedHead& v, int64_t tokens,
              int64_t dim, auto& actual, auto& expected) {
    fn(p.data(), stride, rows, v.int8.data(), v.scales.data(), tokens, dim, actual.data());
    scalar(p.data(), stride, rows, v.int8.data(), v.scales.data(), tokens, dim, expected.data());
  });
}
void CheckPvF16(PvF16Fn* fn, PvF16Fn* scalar) {
  CheckPv([=](const auto& p, int64_t stride, int64_t rows, const CachedHead& v, int64_t tokens,
              int64_t dim, auto& actual, auto& expected) {
    fn(p.data(), stride, rows, v.f16.data(), tokens, dim, actual.data());
    scalar(p.data(), stride, rows, v.f16.data(), tokens, dim, expected.data());
  });
}
void CheckPvF32(PvF32Fn* fn, PvF32Fn* scalar) {
  CheckPv([=](const auto& p, int64_t stride, int64_t rows, const CachedHead& v, int64_t tokens,
              int64_t dim, auto& actual, auto& expected) {
    fn(p.data(), stride, rows, v.f32.data(), tokens, dim, actual.data());
    scalar(p.data(), stride, rows, v.f32.data(), tokens, dim, expected.data());
  });
}

void CheckFold(FoldFn* fn, FoldFn* scalar) {
  Inputs inputs(13);
  for (Kind kind : kKinds) {
    for (int64_t n : kHeadDims) {
      // max, sum, out of the total; then of the chunk.
      std::vector<float> actual = inputs.Values(kind, n + 2);
      actual.resize(n + 7, kUntouched);
      std::vector<float> expected = actual;
      std::vector<float> chunk = inputs.Values(kind, n + 2);
      fn({&actual[0], &actual[1], &actual[2]}, {&chunk[0], &chunk[1], &chunk[2]}, n);
      scalar({&expected[0], &expected[1], &expected[2]}, {&chunk[0], &chunk[1], &chunk[2]}, n);
      ExpectSameBits(actual, expected, Name(kind, {n}));
    }
  }
}

struct Row {
  std::string op;
  std::string isa;
  void (*check)();

  friend void PrintTo(const Row& row, std::ostream* os) { *os << row.op << "/" << row.isa; }
};

const Row kRows[] = {
#define KERNEL(op, isa) {#op, #isa, [] { Check##op(isa::op, scalar::op); }},
#include "engine/kernels/kernels.inc"
};

class KernelTable : public testing::TestWithParam<Row> {};

TEST_P(KernelTable, GivesTheBitsOfScalar) {
  const std::vector<std::string_view> supported = SupportedIsas();
  if (std::find(supported.begin(), supported.end(), GetParam().isa) == supported.end()) {
    GTEST_SKIP() << "this CPU lacks " << GetParam().isa;
  }
  GetParam().check();
}

INSTANTIATE_TEST_SUITE_P(Rows, KernelTable, testing::ValuesIn(kRows), [](const auto& row) {
  return absl::StrCat(row.param.op, "_", row.param.isa);
});

}  // namespace
}  // namespace hearth::kernels
