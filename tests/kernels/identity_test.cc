// Every row of the kernel table against scalar.cc, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/declarations.h"
#include "tests/kernels/inputs.h"

namespace hearth::kernels {

#if defined(__x86_64__)
namespace avxvnni_evex {  // avxvnni_evex.cc
MatMulQuantizedFn MatMulQ8_0;
MatMulSuperFn MatMulInt4, MatMulInt4Min, MatMulInt5, MatMulInt5Min, MatMulInt6;
QkInt8Fn QkInt8;
PvInt8Fn PvInt8;
Int8PeakFn Int8Peak;
}  // namespace avxvnni_evex
namespace amx_emulated {  // amx_emulated.cc
MatMulSuperFn MatMulInt4, MatMulInt4Min, MatMulInt5, MatMulInt5Min, MatMulInt6;
}  // namespace amx_emulated
#endif

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

void CheckQuantizeSuperRows(QuantizeSuperRowsFn* fn, QuantizeSuperRowsFn* scalar) {
  Inputs inputs(14);
  for (Kind kind : kKinds) {
    for (int64_t rows : {1, 3}) {
      for (int64_t cols : {32, 96, 128, 160, 256, 352, 1056}) {
        const std::vector<float> x = inputs.Values(kind, rows * cols);
        Super actual(rows, cols);
        Super expected(rows, cols);
        fn(x.data(), actual.view());
        scalar(x.data(), expected.view());
        const std::string name = Name(kind, {rows, cols});
        ExpectSameBits(actual.values, expected.values, name);
        ExpectSameBits(actual.scales, expected.scales, name);
        ExpectSameBits(actual.sums, expected.sums, name);
      }
    }
  }
}

// Tries a product with all shapes: `prepare(cols, outputs, rows)` makes weights and that many rows
// of activations, and returns what multiplies by the first of these: multiply(kernel, rows, out,
// stride).
template <typename Fn, typename Prepare>
void CheckProducts(std::initializer_list<int64_t> all_cols, Fn* fn, Fn* scalar, Prepare prepare) {
  const auto check = [&](int64_t cols, int64_t outputs, std::initializer_list<int64_t> row_counts) {
    auto multiply = prepare(cols, outputs, std::max(row_counts));
    const int64_t stride = outputs + 5;
    // A row of scalar.cc's does not depend on how many there are.
    std::vector<float> all(std::max(row_counts) * stride, kUntouched);
    multiply(scalar, std::max(row_counts), all.data(), stride);
    for (int64_t rows : row_counts) {
      std::vector<float> actual(rows * stride, kUntouched);
      multiply(fn, rows, actual.data(), stride);
      const std::vector<float> expected(all.begin(), all.begin() + rows * stride);
      ExpectSameBits(actual, expected, absl::StrCat("sizes ", cols, " ", outputs, " ", rows));
    }
  };
  for (int64_t cols : all_cols) {
    for (int64_t outputs : kOutputRows) {
      if (cols > 200 && outputs % 16 != 1) continue;
      check(cols, outputs, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
    }
    if (cols <= 300) check(cols, 48, {31, 32, 33, 59, 60, 61, 64, 67, 125});
  }
  check(*all_cols.begin(), 17, {521});  // past the most rows that share a read of the weights
}

void CheckPlain(DType dtype, MatMulFloatFn* fn, MatMulFloatFn* scalar) {
  Inputs inputs(2);
  CheckProducts({1, 32, 172, 288, 3072}, fn, scalar,
                [&](int64_t cols, int64_t outputs, int64_t rows) {
                  Packed w = Pack(dtype, inputs.FileRows(dtype, outputs, cols), outputs, cols);
                  return [w = std::move(w), x = inputs.Rows(rows, cols)](
                             MatMulFloatFn* multiply, int64_t count, float* out, int64_t stride) {
                    multiply(w.view, x.data(), count, out, stride);
                  };
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
  CheckProducts(
      {32, 64, 96, 288, 3072}, fn, scalar, [&](int64_t cols, int64_t outputs, int64_t rows) {
        Packed w = Pack(dtype, inputs.FileRows(dtype, outputs, cols), outputs, cols);
        Quantized x(rows, cols);
        scalar::QuantizeRows(inputs.Rows(rows, cols).data(), x.view());
        return [w = std::move(w), x = std::move(x)](MatMulQuantizedFn* multiply, int64_t count,
                                                    float* out, int64_t stride) mutable {
          QuantizedRows first = x.view();
          first.rows = count;
          multiply(w.view, first, out, stride);
        };
      });
}

// All weights and all activations at the ends of their ranges, where sums in few bits overflow.
void CheckExtremes(MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  constexpr int64_t kCols = 64;
  for (int weight : {-128, 127, 0}) {
    for (float activation : {-1.0f, 1.0f}) {
      std::vector<std::byte> file(16 * RowBytes(DType::kQ8_0, kCols),
                                  static_cast<std::byte>(weight));
      for (size_t at = 0; at < file.size(); at += Traits(DType::kQ8_0).block_bytes) {
        const uint16_t one = 0x3c00;
        std::memcpy(&file[at], &one, sizeof(one));
      }
      Packed w = Pack(DType::kQ8_0, file, 16, kCols);
      for (int64_t rows : {1, 2, 4, 6, 9}) {
        Quantized x(rows, kCols);
        scalar::QuantizeRows(std::vector<float>(rows * kCols, activation).data(), x.view());
        std::vector<float> actual(rows * 16);
        std::vector<float> expected(rows * 16);
        fn(w.view, x.view(), actual.data(), 16);
        scalar(w.view, x.view(), expected.data(), 16);
        ExpectSameBits(actual, expected, absl::StrCat("weight ", weight));
        EXPECT_NEAR(expected[0], weight * activation * kCols, 1e-3f * kCols);
      }
    }
  }
}

void CheckMatMulQ8_0(MatMulQuantizedFn* fn, MatMulQuantizedFn* scalar) {
  CheckBlocks(DType::kQ8_0, fn, scalar);
  CheckExtremes(fn, scalar);
}

void CheckSuper(DType dtype, MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  Inputs inputs(15);
  const int64_t block = Traits(dtype).block_elements;
  CheckProducts({block, 3 * block, 9 * block, 3072}, fn, scalar,
                [&](int64_t cols, int64_t outputs, int64_t rows) {
                  Packed w = Pack(dtype, inputs.FileRows(dtype, outputs, cols), outputs, cols);
                  Super x(rows, cols);
                  scalar::QuantizeSuperRows(inputs.Rows(rows, cols).data(), x.view());
                  return
                      [w = std::move(w), x = std::move(x)](MatMulSuperFn* multiply, int64_t count,
                                                           float* out, int64_t stride) mutable {
                        SuperRows first = x.view();
                        first.rows = count;
                        multiply(w.view, first, out, stride);
                      };
                });
}

// Every byte of the weights the same, all activations at one end of their range.
void CheckSuperExtremes(DType dtype, MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  constexpr int64_t kCols = 512;
  for (int byte : {0x00, 0x7f, 0x80, 0xff, 0x0f, 0xf0}) {
    for (float activation : {-1.0f, 1.0f}) {
      std::vector<std::byte> file(16 * RowBytes(dtype, kCols), static_cast<std::byte>(byte));
      for (size_t at = 0; at < file.size(); at += Traits(dtype).block_bytes) {
        const uint16_t one = 0x3c00;
        for (size_t offset : FloatOffsets(dtype)) std::memcpy(&file[at + offset], &one, 2);
      }
      Packed w = Pack(dtype, file, 16, kCols);
      for (int64_t rows : {1, 2, 4, 8, 12, 16, 21}) {
        Super x(rows, kCols);
        scalar::QuantizeSuperRows(std::vector<float>(rows * kCols, activation).data(), x.view());
        std::vector<float> actual(rows * 16);
        std::vector<float> expected(rows * 16);
        fn(w.view, x.view(), actual.data(), 16);
        scalar(w.view, x.view(), expected.data(), 16);
        ExpectSameBits(actual, expected,
                       absl::StrCat(std::string(Traits(dtype).name), ", bytes ", byte));
      }
    }
  }
}

// Codes, multipliers and minima of a packed tile at the ends of their ranges, which types with
// scales of few bits do not reach.
void CheckPackedExtremes(Packing packing, MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  constexpr int64_t kCols = 512;
  const SuperLayout layout = LayoutOf(packing);
  const size_t codes = layout.multipliers_at();
  const size_t multipliers = layout.minima_at() - codes;
  TileMemory tile(TileBytes(packing, kCols));
  for (int code : {0x00, 0xff}) {
    for (int n : {-128, 127}) {
      for (int minimum : {-128, 127}) {
        std::memset(tile.data(), minimum, TileBytes(packing, kCols));
        for (int64_t s = 0; s < Superblocks(kCols); ++s) {
          std::memset(tile.data() + s * layout.bytes(), code, codes);
          std::memset(tile.data() + s * layout.bytes() + codes, n, multipliers);
        }
        std::byte* scales = tile.data() + Superblocks(kCols) * layout.bytes();
        for (int64_t i = 0; i < Superblocks(kCols) * layout.scale_bytes(); i += 2) {
          const uint16_t one = 0x3c00;
          std::memcpy(scales + i, &one, sizeof(one));
        }
        for (float activation : {-1.0f, 1.0f}) {
          for (int64_t rows : {1, 3, 4, 8, 16, 21}) {
            Super x(rows, kCols);
            scalar::QuantizeSuperRows(std::vector<float>(rows * kCols, activation).data(),
                                      x.view());
            std::vector<float> actual(rows * 16);
            std::vector<float> expected(rows * 16);
            fn({tile.data(), 16, kCols}, x.view(), actual.data(), 16);
            scalar({tile.data(), 16, kCols}, x.view(), expected.data(), 16);
            ExpectSameBits(actual, expected,
                           absl::StrCat("code ", code, ", n ", n, ", minimum ", minimum));
          }
        }
      }
    }
  }
}

void CheckSuperTypes(std::initializer_list<DType> types, MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  for (DType dtype : types) {
    CheckSuper(dtype, fn, scalar);
    CheckSuperExtremes(dtype, fn, scalar);
    CheckPackedExtremes(PackingOf(dtype), fn, scalar);
  }
}

void CheckMatMulInt4(MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  CheckSuperTypes({DType::kQ4_0}, fn, scalar);
}
void CheckMatMulInt4Min(MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  CheckSuperTypes({DType::kQ4_1, DType::kQ4_K}, fn, scalar);
}
void CheckMatMulInt5(MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  CheckSuperTypes({DType::kQ5_0}, fn, scalar);
}
void CheckMatMulInt5Min(MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  CheckSuperTypes({DType::kQ5_K}, fn, scalar);
}
void CheckMatMulInt6(MatMulSuperFn* fn, MatMulSuperFn* scalar) {
  CheckSuperTypes({DType::kQ6_K}, fn, scalar);
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
      : int8(kCacheBlock * PaddedHead(head_dim)),
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

constexpr int64_t kMostHeadRows = 12;
constexpr int64_t kHeadRows[] = {1, 2, 3, 4, 5, 6, 7, 8, kMostHeadRows};

template <typename Check>
void ForEachCachedHead(Check check) {
  int turn = 0;
  for (int64_t head_dim : kHeadDims) {
    for (int64_t tokens : {1, 2, 3, 4, 5, 7, 16, 31, 32}) {
      check(kKinds[turn++ % std::size(kKinds)], head_dim, tokens);
    }
  }
}

// `call(kernel, q, rows, keys, tokens, head_dim, scores, stride)` calls it.
template <typename Fn, typename Call>
void CheckQk(Fn* fn, Fn* scalar, Call call) {
  Inputs inputs(10);
  ForEachCachedHead([&](Kind kind, int64_t head_dim, int64_t tokens) {
    const CachedHead keys(inputs, tokens, head_dim, kind == Kind::kSpecial);
    const std::vector<float> q = inputs.Values(kind, kMostHeadRows * head_dim);
    const int64_t stride = tokens + 3;
    std::vector<float> all(kMostHeadRows * stride, kUntouched);
    call(scalar, q, kMostHeadRows, keys, tokens, head_dim, all.data(), stride);
    for (int64_t rows : kHeadRows) {
      std::vector<float> actual(rows * stride, kUntouched);
      call(fn, q, rows, keys, tokens, head_dim, actual.data(), stride);
      const std::vector<float> expected(all.begin(), all.begin() + rows * stride);
      ExpectSameBits(actual, expected, Name(kind, {head_dim, tokens, rows}));
    }
  });
}

// Quantised queries that own their memory.
struct Heads {
  Heads(int64_t rows, int64_t head_dim)
      : values(rows * PaddedHead(head_dim), 99),
        scales(rows, 99.0f),
        offset(rows, 99),
        view{values.data(), scales.data(), offset.data(), rows, head_dim} {}
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int32_t> offset;
  QuantizedHeads view;
};

void CheckQuantizeHeads(QuantizeHeadsFn* fn, QuantizeHeadsFn* scalar) {
  Inputs inputs(16);
  for (Kind kind : kKinds) {
    for (int64_t head_dim : kHeadDims) {
      const std::vector<float> x = inputs.Values(kind, 5 * head_dim);
      Heads actual(5, head_dim);
      Heads expected(5, head_dim);
      fn(x.data(), actual.view);
      scalar(x.data(), expected.view);
      ExpectSameBits(actual.values, expected.values, Name(kind, {head_dim}));
      ExpectSameBits(actual.scales, expected.scales, Name(kind, {head_dim}));
      ExpectSameBits(actual.offset, expected.offset, Name(kind, {head_dim}));
    }
  }
}

void CheckQkInt8(QkInt8Fn* fn, QkInt8Fn* scalar) {
  CheckQk(fn, scalar,
          [](QkInt8Fn* kernel, const auto& q, int64_t rows, const CachedHead& k, int64_t tokens,
             int64_t dim, float* scores, int64_t stride) {
            Heads heads(rows, dim);
            scalar::QuantizeHeads(q.data(), heads.view);
            kernel(heads.view, k.int8.data(), k.scales.data(), tokens, scores, stride);
          });
}
void CheckQkF16(QkF16Fn* fn, QkF16Fn* scalar) {
  CheckQk(fn, scalar,
          [](QkF16Fn* kernel, const auto& q, int64_t rows, const CachedHead& k, int64_t tokens,
             int64_t dim, float* scores, int64_t stride) {
            kernel(q.data(), rows, k.f16.data(), tokens, dim, scores, stride);
          });
}
void CheckQkF32(QkF32Fn* fn, QkF32Fn* scalar) {
  CheckQk(fn, scalar,
          [](QkF32Fn* kernel, const auto& q, int64_t rows, const CachedHead& k, int64_t tokens,
             int64_t dim, float* scores, int64_t stride) {
            kernel(q.data(), rows, k.f32.data(), tokens, dim, scores, stride);
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

// The first `rows` rows of `all` as fn leaves them and as scalar does, whose rows do not depend on
// how many there are; both write call(kernel, rows, sums).
template <typename Fn, typename Call>
void CheckSums(Fn* fn, Fn* scalar, const std::vector<float>& before, int64_t head_dim,
               const std::string& what, Call call) {
  std::vector<float> all = before;
  call(scalar, kMostHeadRows, all.data());
  for (int64_t rows : kHeadRows) {
    std::vector<float> actual = before;
    call(fn, rows, actual.data());
    std::vector<float> expected = before;
    std::copy_n(all.begin(), rows * head_dim, expected.begin());
    ExpectSameBits(actual, expected, absl::StrCat(what, " ", rows));
  }
}

template <typename Fn, typename Call>
void CheckPv(Fn* fn, Fn* scalar, Call call) {
  Inputs inputs(12);
  ForEachCachedHead([&](Kind kind, int64_t head_dim, int64_t tokens) {
    const CachedHead values(inputs, tokens, head_dim, kind == Kind::kSpecial);
    const int64_t stride = tokens + 3;
    const std::vector<float> p = inputs.Values(kind, kMostHeadRows * stride);
    std::vector<float> before = inputs.Values(Kind::kNormal, kMostHeadRows * head_dim);
    before.resize(before.size() + 5, kUntouched);
    CheckSums(fn, scalar, before, head_dim, Name(kind, {head_dim, tokens}),
              [&](Fn* kernel, int64_t rows, float* out) {
                call(kernel, p, stride, rows, values, tokens, head_dim, out);
              });
  });
}

void CheckQuantizeWeights(QuantizeWeightsFn* fn, QuantizeWeightsFn* scalar) {
  Inputs inputs(17);
  for (Kind kind : kKinds) {
    for (int64_t tokens = 1; tokens <= kChunkTokens;
         tokens = tokens < 40 ? tokens + 1 : tokens + 27) {
      std::vector<uint16_t> f16(kChunkTokens);
      for (uint16_t& scale : f16) scale = inputs.FiniteF16() & 0x7fff;
      if (kind == Kind::kSpecial) f16[inputs.Below(kChunkTokens)] = 0x7e00;
      const uint16_t* scales[kChunkTokens / kCacheBlock];
      for (int i = 0; i < kChunkTokens / kCacheBlock; ++i) scales[i] = &f16[i * kCacheBlock];
      std::vector<float> actual = inputs.Values(kind, tokens);
      for (float& p : actual) p = std::abs(p);
      actual.resize(tokens + 5, kUntouched);
      std::vector<float> expected = actual;
      std::vector<int16_t> actual_w(kChunkTokens, 99);
      std::vector<int16_t> expected_w(kChunkTokens, 98);
      const std::vector<float> actual_d = {fn(actual.data(), scales, tokens, actual_w.data())};
      const std::vector<float> expected_d = {
          scalar(expected.data(), scales, tokens, expected_w.data())};
      ExpectSameBits(actual, expected, Name(kind, {tokens}));
      ExpectSameBits(actual_d, expected_d, Name(kind, {tokens}));
      ExpectSameBits(actual_w, expected_w, Name(kind, {tokens}));
    }
  }
}

void CheckPvInt8(PvInt8Fn* fn, PvInt8Fn* scalar) {
  Inputs inputs(18);
  for (int64_t head_dim : kHeadDims) {
    std::vector<int8_t> cached(kChunkTokens * head_dim);
    for (int8_t& value : cached) value = static_cast<int8_t>(inputs.Below(255) - 127);
    const int8_t* values[kChunkTokens / kCacheBlock];
    for (int64_t b = 0; b < kChunkTokens / kCacheBlock; ++b) {
      values[b] = cached.data() + b * kCacheBlock * head_dim;
    }
    for (int64_t tokens : {1, 3, 31, 32, 33, 255, 256}) {
      std::vector<int16_t> w(kMostHeadRows * kChunkTokens, 0);
      std::vector<float> scales = inputs.Values(Kind::kNormal, kMostHeadRows);
      if (tokens == 33) scales[inputs.Below(kMostHeadRows)] = kNaN;
      for (int64_t r = 0; r < kMostHeadRows; ++r) {
        for (int64_t t = 0; t < tokens; ++t) {
          w[r * kChunkTokens + t] =
              static_cast<int16_t>(inputs.Below(4) ? inputs.Below(32768) : 32767);
        }
      }
      const std::vector<float> before(kMostHeadRows * head_dim + 5, kUntouched);
      CheckSums(fn, scalar, before, head_dim, Name(Kind::kNormal, {head_dim, tokens}),
                [&](PvInt8Fn* kernel, int64_t rows, float* out) {
                  kernel(w.data(), scales.data(), rows, values, tokens, head_dim, out);
                });
    }
  }
}
void CheckPvF16(PvF16Fn* fn, PvF16Fn* scalar) {
  CheckPv(fn, scalar,
          [](PvF16Fn* kernel, const auto& p, int64_t stride, int64_t rows, const CachedHead& v,
             int64_t tokens, int64_t dim,
             float* out) { kernel(p.data(), stride, rows, v.f16.data(), tokens, dim, out); });
}
void CheckPvF32(PvF32Fn* fn, PvF32Fn* scalar) {
  CheckPv(fn, scalar,
          [](PvF32Fn* kernel, const auto& p, int64_t stride, int64_t rows, const CachedHead& v,
             int64_t tokens, int64_t dim,
             float* out) { kernel(p.data(), stride, rows, v.f32.data(), tokens, dim, out); });
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

// What counts is that each round takes its products, which is what a rate is made of.
void CheckInt8Peak(Int8PeakFn* fn, Int8PeakFn*) {
  const int64_t round = fn(1);
  EXPECT_GT(round, 0);
  EXPECT_EQ(fn(0), 0);
  for (int64_t rounds : {2, 3, 1000, 65536}) EXPECT_EQ(fn(rounds), rounds * round);
}

struct Row {
  std::string op;
  std::string isa;
  std::string_view needs;  // an instruction set of the table
  void (*check)();

  friend void PrintTo(const Row& row, std::ostream* os) { *os << row.op << "/" << row.isa; }
};

#define ROW(op, isa, needs)                                   \
  {                                                           \
#op, #isa, #needs, [] { Check##op(isa::op, scalar::op); } \
  }
const Row kRows[] = {
#define KERNEL(op, isa) ROW(op, isa, isa),
#include "engine/kernels/kernels.inc"
#if defined(__x86_64__)
    ROW(MatMulQ8_0, avxvnni_evex, avx512vnni),    ROW(MatMulInt4, avxvnni_evex, avx512vnni),
    ROW(MatMulInt4Min, avxvnni_evex, avx512vnni), ROW(MatMulInt5, avxvnni_evex, avx512vnni),
    ROW(MatMulInt5Min, avxvnni_evex, avx512vnni), ROW(MatMulInt6, avxvnni_evex, avx512vnni),
    ROW(QkInt8, avxvnni_evex, avx512vnni),        ROW(PvInt8, avxvnni_evex, avx512vnni),
    ROW(Int8Peak, avxvnni_evex, avx512vnni),      ROW(MatMulInt4, amx_emulated, avx512vnni),
    ROW(MatMulInt4Min, amx_emulated, avx512vnni), ROW(MatMulInt5, amx_emulated, avx512vnni),
    ROW(MatMulInt5Min, amx_emulated, avx512vnni), ROW(MatMulInt6, amx_emulated, avx512vnni),
#endif
};

// All but the rows of scalar.cc, which against itself could not fail.
std::vector<Row> ComparedRows() {
  std::vector<Row> rows;
  for (const Row& row : kRows) {
    if (row.isa != "scalar") rows.push_back(row);
  }
  return rows;
}

class KernelTable : public testing::TestWithParam<Row> {};

TEST_P(KernelTable, GivesTheBitsOfScalar) {
  const std::vector<std::string_view> supported = SupportedIsas();
  if (std::find(supported.begin(), supported.end(), GetParam().needs) == supported.end()) {
    GTEST_SKIP() << "this CPU lacks " << GetParam().needs;
  }
  GetParam().check();
}

INSTANTIATE_TEST_SUITE_P(Rows, KernelTable, testing::ValuesIn(ComparedRows()), [](const auto& row) {
  return absl::StrCat(row.param.op, "_", row.param.isa);
});

}  // namespace
}  // namespace hearth::kernels
