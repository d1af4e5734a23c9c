// The kernels: what each computes, operation by operation. scalar.cc is the definition written
// out; every other instruction set gives the same bits (tests/kernels iterates over the table).
//
// Arithmetic, for every kernel:
// - IEEE 754 binary32, round to nearest even, subnormals kept. `a * b + c` is a multiplication,
//   rounded, then an addition, rounded: nothing is fused. Divisions and square roots are true.
// - Every NaN written as f32 is kNaN, so that its bits do not depend on the order of operands.
// - Max(a, b) is a > b ? a : b. It is not symmetric for NaN and for zeros of two signs.
// - Round(v) is the nearest integer, ties to even.
// - Sum16(t) of terms t[0..n): lane[i % 16] = lane[i % 16] + t[i] for ascending i, from
//   lane = 0; then lane[i] = lane[i] + lane[i + h] for i < h, for h = 8, 4, 2, 1; lane[0].
// - Exp is detmath::Exp of f32, operation by operation.
//
// Kernels touch nothing but their arguments; any number of threads may run them. REQUIRES for
// every kernel: counts >= 0 (cols, head_dim >= 1), pointers valid for the stated shapes and
// aligned for their type, inputs and outputs disjoint unless said otherwise.
#ifndef HEARTH_ENGINE_KERNELS_KERNELS_H_
#define HEARTH_ENGINE_KERNELS_KERNELS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kernels/layout.h"

namespace hearth::kernels {

inline constexpr float kNaN = std::bit_cast<float>(0x7fc00000u);
inline constexpr int64_t kChunkTokens = 256;  // positions of one attention chunk

// Activations quantised to int8, a scale per 32 elements.
struct QuantizedRows {
  int8_t* values;   // [rows][cols], within [-127, 127]
  float* scales;    // [rows][cols/32]
  int32_t* offset;  // [rows][cols/32]: -128 * sum of the block's values: what codes raised by 128,
                    // to be unsigned, add to a dot, taken back
  int64_t rows;
  int64_t cols;  // a multiple of 32

  QuantizedRows Row(int64_t m) const {
    const int64_t block = m * (cols / kQuantBlock);
    return {values + m * cols, scales + block, offset + block, 1, cols};
  }
};

// Activations quantised to int8, a scale per kActivationBlock elements, in whole blocks of these:
// what lies beyond cols is zero.
struct SuperRows {
  int8_t* values;  // [rows][stride], within [-127, 127]
  float* scales;   // [rows][blocks]
  int16_t* sums;   // [rows][padded/16]: of 16 values each
  int64_t rows;
  int64_t cols;  // a multiple of 32

  int64_t blocks() const { return (cols + kActivationBlock - 1) / kActivationBlock; }  // of a row
  int64_t padded() const { return blocks() * kActivationBlock; }
  // Rows a multiple of 4096 bytes apart would share the sets of a cache.
  int64_t stride() const { return padded() + 64; }
  SuperRows Row(int64_t m) const {
    return {values + m * stride(), scales + m * blocks(), sums + m * padded() / 16, 1, cols};
  }
};

// For each block of 32: amax = max |x|, d = amax / 127, q = Round(clamp(x / d, -127, 127)).
// Where d is zero, all q are 0. Where an element is NaN or infinite, all q are 0 and d is kNaN:
// the row's products come out as NaN, other rows' do not. x is [out.rows][out.cols].
using QuantizeRowsFn = void(const float* x, const QuantizedRows& out);

// The same for each block of 128, of which the last may be cut off by cols.
using QuantizeSuperRowsFn = void(const float* x, const SuperRows& out);

// out[m * out_stride + n] = acc, where over ascending k
//   acc = acc + w[n][k] * x[m][k]                                                    from acc = 0.
// f16 and bf16 weights are widened, exactly. x is [rows][w.cols]; n < w.rows.
using MatMulFloatFn = void(const PackedRows& w, const float* x, int64_t rows, float* out,
                           int64_t out_stride);

// Over ascending blocks b of 32, from acc = 0:
//   acc = acc + float(sum over the block of w.q[k] * x.q[k]) * (f32(w.d) * x.d)
// where the sum is exact in int32. REQUIRES: w.cols == x.cols; every w.d finite.
using MatMulQuantizedFn = void(const PackedRows& w, const QuantizedRows& x, float* out,
                               int64_t out_stride);

// For the Int formats, over ascending activation blocks c of 128 within cols, from acc = 0:
//   t = sum over its sub-blocks b of n[b] * (sum over k of (code[k] - offset) * x.q[k])
//   acc = acc + (float(t) * f32(D)) * x.d
// and with minima
//   u = sum over its sub-blocks b of m[b] * (sum over k of x.q[k])
//   acc = acc + (float(t) * f32(D) + float(u) * f32(M)) * x.d
// where t and u are exact in int32. REQUIRES: as above.
using MatMulSuperFn = void(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride);

// r = 1 / sqrt(Sum16(x[i] * x[i]) / float(cols) + epsilon); out[i] = (x[i] * r) * weight[i].
// out may be x.
using RmsNormFn = void(const float* x, int64_t cols, const float* weight, float epsilon,
                       float* out);

// x[i] = x[i] + y[i].
using AddFn = void(float* x, const float* y, int64_t n);

// out[i] = (gate[i] / (1 + Exp(-gate[i]))) * up[i].
using SwiGluFn = void(const float* gate, const float* up, int64_t n, float* out);

// Rotates the first 2 * pairs elements of each of `heads` heads, `stride` floats apart:
//   (a, b) becomes (a * cosine[i] - b * sine[i], b * cosine[i] + a * sine[i])
// for i < pairs, where (a, b) are elements (i, i + pairs), or (2i, 2i + 1) when adjacent.
using RopeFn = void(float* x, int64_t heads, int64_t stride, int64_t pairs, const float* cosine,
                    const float* sine);

// A head's key or value as the int8 cache rounds it: amax = max |x|, scale = f16(amax / 127), q =
// Round(clamp(x / f32(scale), -127, 127)), all 0 where the scale is zero. Where an element is NaN
// or infinite: all q 0 and the scale the f16 NaN 0x7e00.
using QuantizeKvFn = void(const float* x, int64_t head_dim, int8_t* values, uint16_t* scale);

// F32ToF16 of engine/tensor/float16.h, element by element: to nearest even.
using NarrowKvFn = void(const float* x, int64_t head_dim, uint16_t* values);

// Queries quantised to int8, a scale each.
struct QuantizedHeads {
  int8_t* values;   // [rows][PaddedHead(head_dim)], within [-127, 127], zero beyond head_dim
  float* scales;    // [rows]
  int32_t* offset;  // [rows]: -128 * sum of the values: what adding 128 to keys adds to a dot
  int64_t rows;
  int64_t head_dim;
};

// As QuantizeRows, a whole row being one block. x is [out.rows][out.head_dim].
using QuantizeHeadsFn = void(const float* x, const QuantizedHeads& out);

// scores[r * score_stride + t] = float(sum over i of q[r][i] * key[t][i]) * (q.scale[r] *
// f32(scale[t])), the sum exact in int32. Keys as layout.h has them. REQUIRES: tokens <=
// kCacheBlock; the whole block of keys may be read; head_dim <= 32768, so that with what raising
// keys by 128 adds, (255 + 128) * 127 * head_dim at most, sums stay below 2^31.
using QkInt8Fn = void(const QuantizedHeads& q, const int8_t* keys, const uint16_t* scales,
                      int64_t tokens, float* scores, int64_t score_stride);

// scores[r * score_stride + t] = Sum16(q[r][i] * f32(key[t][i])). q is [rows][head_dim], keys
// [tokens][head_dim].
using QkF16Fn = void(const float* q, int64_t rows, const uint16_t* keys, int64_t tokens,
                     int64_t head_dim, float* scores, int64_t score_stride);
using QkF32Fn = void(const float* q, int64_t rows, const float* keys, int64_t tokens,
                     int64_t head_dim, float* scores, int64_t score_stride);

// One chunk's softmax, not yet divided. lane[j] = -inf for j < 16; lane[i % 16] =
// Max(lane[i % 16], scores[i]) for ascending i; lane[i] = Max(lane[i], lane[i + h]) for h = 8, 4,
// 2, 1 as in Sum16; *max = lane[0]. Then scores[i] = Exp(scores[i] - *max) and *sum =
// Sum16(scores). REQUIRES: n >= 1.
using SoftmaxFn = void(float* scores, int64_t n, float* max, float* sum);

// Softmax weights times the scales of an int8 cache's values, in 15 bits: for t < tokens,
// p[t] = p[t] * f32(scales[t / 32][t % 32]); d = max p / 32767, w[t] = Round(p[t] / d), at most
// 32767. All w are 0 where d is zero; where a p[t] is NaN or infinite all w are 0 and d is kNaN.
// w[t] = 0 for t from `tokens` to kChunkTokens. Returns d. REQUIRES: 1 <= tokens <= kChunkTokens;
// p >= 0 where it is not NaN.
using QuantizeWeightsFn = float(float* p, const uint16_t* const* scales, int64_t tokens,
                                int16_t* w);

// A chunk's values weighted: out[r][i] = float(sum over t < tokens of w[r][t] * value[t][i]) *
// scale[r], the sum exact in int32. Rows of w are kChunkTokens apart; position t lies in
// values[t / 32], as layout.h has it; out is [rows][head_dim]. REQUIRES: 1 <= tokens <=
// kChunkTokens; the whole blocks of these may be read; w >= 0, and zero from `tokens` to
// kChunkTokens. So a sum is at most 256 * 32767 * 128, below 2^30, and each of a byte of w less.
using PvInt8Fn = void(const int16_t* w, const float* scales, int64_t rows,
                      const int8_t* const* values, int64_t tokens, int64_t head_dim, float* out);

// Over ascending t: out[r][i] = out[r][i] + p[r][t] * f32(value[t][i]). p rows are p_stride apart,
// values are [tokens][head_dim], out is [rows][head_dim], read and written. REQUIRES: tokens <=
// kCacheBlock.
using PvF16Fn = void(const float* p, int64_t p_stride, int64_t rows, const uint16_t* values,
                     int64_t tokens, int64_t head_dim, float* out);
using PvF32Fn = void(const float* p, int64_t p_stride, int64_t rows, const float* values,
                     int64_t tokens, int64_t head_dim, float* out);

// What attention knows of one query after some chunks: softmax over the positions so far would be
// out[i] / sum, and scores were taken relative to max.
struct Partial {
  float* max;
  float* sum;
  float* out;  // [head_dim]
};

// Folds the chunk that follows into `total`: m = Max(total.max, chunk.max), a = Exp(total.max - m),
// b = Exp(chunk.max - m); total.sum = total.sum * a + chunk.sum * b, likewise out; total.max = m.
using FoldFn = void(const Partial& total, const Partial& chunk, int64_t head_dim);

// Nothing that a model needs: products of bytes at the highest rate that the instruction set has,
// on operands in registers and with sums enough to hide latencies. It is the limit that matrix
// products are held against. All factors are 1, so that the sum it returns counts the products; a
// round has the same number of them each time. REQUIRES: rounds <= 65536.
using Int8PeakFn = int64_t(int64_t rounds);

// One pointer per op. The members bear the names of the functions they point to.
struct Table {
  std::string_view isa;  // the best instruction set in use

  QuantizeRowsFn* QuantizeRows = nullptr;
  QuantizeSuperRowsFn* QuantizeSuperRows = nullptr;
  MatMulFloatFn* MatMulF32 = nullptr;
  MatMulFloatFn* MatMulF16 = nullptr;
  MatMulFloatFn* MatMulBF16 = nullptr;
  MatMulQuantizedFn* MatMulQ8_0 = nullptr;
  MatMulSuperFn* MatMulInt4 = nullptr;
  MatMulSuperFn* MatMulInt4Min = nullptr;
  MatMulSuperFn* MatMulInt5 = nullptr;
  MatMulSuperFn* MatMulInt5Min = nullptr;
  MatMulSuperFn* MatMulInt6 = nullptr;
  RmsNormFn* RmsNorm = nullptr;
  AddFn* Add = nullptr;
  SwiGluFn* SwiGlu = nullptr;
  RopeFn* RopeHalves = nullptr;
  RopeFn* RopeAdjacent = nullptr;
  QuantizeKvFn* QuantizeKv = nullptr;
  NarrowKvFn* NarrowKv = nullptr;
  QuantizeHeadsFn* QuantizeHeads = nullptr;
  QkInt8Fn* QkInt8 = nullptr;
  QkF16Fn* QkF16 = nullptr;
  QkF32Fn* QkF32 = nullptr;
  SoftmaxFn* Softmax = nullptr;
  QuantizeWeightsFn* QuantizeWeights = nullptr;
  PvInt8Fn* PvInt8 = nullptr;
  PvF16Fn* PvF16 = nullptr;
  PvF32Fn* PvF32 = nullptr;
  FoldFn* Fold = nullptr;
  Int8PeakFn* Int8Peak = nullptr;
};

// The instruction sets that kernels exist for and this CPU and its OS support, lowest first.
std::vector<std::string_view> SupportedIsas();

// For each op its best kernel of `isa` and the sets below it. An empty `isa` is the value of the
// environment variable HEARTH_ISA and, when that is unset or empty, the best supported.
// FailedPrecondition, naming the supported ones, for any other name.
absl::StatusOr<Table> Select(std::string_view isa);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_KERNELS_H_
