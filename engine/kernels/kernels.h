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

namespace hearth::kernels {

inline constexpr float kNaN = std::bit_cast<float>(0x7fc00000u);
inline constexpr int64_t kTileRows = 16;      // output rows of one weight tile
inline constexpr int64_t kQuantBlock = 32;    // elements that share a scale
inline constexpr int64_t kChunkTokens = 256;  // positions of one attention chunk

// Packed weights: consecutive output rows, in tiles of kTileRows whose missing rows are zeros. A
// tile starts at a multiple of 64 bytes and holds, k ascending,
//   F32, F16, BF16  [cols][16 rows] elements;
//   Q8_0            [cols/4][16 rows][4] int8, then [cols/32][16 rows] f16 scales;
//   Q4_0            [cols/32][4][16 rows][4] bytes, then [cols/32][16 rows] f16 scales. Byte i of
//                   group j of a block holds k = 4j + i (low nibble) and 16 + 4j + i (high).
// So 16 lanes are 16 outputs, and a lane's four bytes are four consecutive k.
struct PackedRows {
  const std::byte* tiles;
  int64_t rows;  // a multiple of 16 except at the matrix's end
  int64_t cols;  // Q8_0 and Q4_0: a multiple of 32
};

// Activations quantised to int8, a scale per 32 elements.
struct QuantizedRows {
  int8_t* values;   // [rows][cols], within [-127, 127]
  float* scales;    // [rows][cols/32]
  int32_t* offset;  // [rows][cols/32]: -8 * sum of the block's values, which is what the offset 8
                    // of an unsigned 4-bit weight adds to a dot, taken back
  int64_t rows;
  int64_t cols;  // a multiple of 32
};

// For each block of 32: amax = max |x|, d = amax / 127, q = Round(clamp(x / d, -127, 127)).
// Where d is zero, all q are 0. Where an element is NaN or infinite, all q are 0 and d is kNaN:
// the row's products come out as NaN, other rows' do not. x is [out.rows][out.cols].
using QuantizeRowsFn = void(const float* x, const QuantizedRows& out);

// out[m * out_stride + n] = acc, where over ascending k
//   acc = acc + w[n][k] * x[m][k]                                                    from acc = 0.
// f16 and bf16 weights are widened, exactly. x is [rows][w.cols]; n < w.rows.
using MatMulFloatFn = void(const PackedRows& w, const float* x, int64_t rows, float* out,
                           int64_t out_stride);

// Over ascending blocks b of 32, from acc = 0:
//   acc = acc + float(sum over the block of w.q[k] * x.q[k]) * (f32(w.d) * x.d)
// where the sum is exact in int32 and w.q is the nibble - 8 for Q4_0.
// REQUIRES: w.cols == x.cols; every w.d finite.
using MatMulQuantizedFn = void(const PackedRows& w, const QuantizedRows& x, float* out,
                               int64_t out_stride);

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

// A head's key or value as the int8 cache stores it: amax = max |x|, scale = f16(amax / 127), q =
// Round(clamp(x / f32(scale), -127, 127)), all 0 where the scale is zero. Where an element is NaN
// or infinite: all q 0 and the scale the f16 NaN 0x7e00.
using QuantizeKvFn = void(const float* x, int64_t head_dim, int8_t* values, uint16_t* scale);

// F32ToF16 of engine/tensor/float16.h, element by element: to nearest even.
using NarrowKvFn = void(const float* x, int64_t head_dim, uint16_t* values);

// scores[r * score_stride + t] = Sum16(q[r][i] * f32(key[t][i])) * f32(scale[t]) for int8 keys,
// and without the last factor for f16 and f32 keys. q is [rows][head_dim], keys [tokens][head_dim].
using QkInt8Fn = void(const float* q, int64_t rows, const int8_t* keys, const uint16_t* scales,
                      int64_t tokens, int64_t head_dim, float* scores, int64_t score_stride);
using QkF16Fn = void(const float* q, int64_t rows, const uint16_t* keys, int64_t tokens,
                     int64_t head_dim, float* scores, int64_t score_stride);
using QkF32Fn = void(const float* q, int64_t rows, const float* keys, int64_t tokens,
                     int64_t head_dim, float* scores, int64_t score_stride);

// One chunk's softmax, not yet divided. lane[j] = -inf for j < 16; lane[i % 16] =
// Max(lane[i % 16], scores[i]) for ascending i; lane[i] = Max(lane[i], lane[i + h]) for h = 8, 4,
// 2, 1 as in Sum16; *max = lane[0]. Then scores[i] = Exp(scores[i] - *max) and *sum =
// Sum16(scores). REQUIRES: n >= 1.
using SoftmaxFn = void(float* scores, int64_t n, float* max, float* sum);

// Over ascending t: out[r][i] = out[r][i] + (p[r][t] * f32(scale[t])) * f32(value[t][i]) for int8
// values, out[r][i] + p[r][t] * f32(value[t][i]) for f16 and f32 values. p rows are p_stride
// apart, values are [tokens][head_dim], out is [rows][head_dim], read and written. REQUIRES:
// tokens <= 32.
using PvInt8Fn = void(const float* p, int64_t p_stride, int64_t rows, const int8_t* values,
                      const uint16_t* scales, int64_t tokens, int64_t head_dim, float* out);
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

// One pointer per op. The members bear the names of the functions they point to.
struct Table {
  std::string_view isa;  // the best instruction set in use

  QuantizeRowsFn* QuantizeRows = nullptr;
  MatMulFloatFn* MatMulF32 = nullptr;
  MatMulFloatFn* MatMulF16 = nullptr;
  MatMulFloatFn* MatMulBF16 = nullptr;
  MatMulQuantizedFn* MatMulQ8_0 = nullptr;
  MatMulQuantizedFn* MatMulQ4_0 = nullptr;
  RmsNormFn* RmsNorm = nullptr;
  AddFn* Add = nullptr;
  SwiGluFn* SwiGlu = nullptr;
  RopeFn* RopeHalves = nullptr;
  RopeFn* RopeAdjacent = nullptr;
  QuantizeKvFn* QuantizeKv = nullptr;
  NarrowKvFn* NarrowKv = nullptr;
  QkInt8Fn* QkInt8 = nullptr;
  QkF16Fn* QkF16 = nullptr;
  QkF32Fn* QkF32 = nullptr;
  SoftmaxFn* Softmax = nullptr;
  PvInt8Fn* PvInt8 = nullptr;
  PvF16Fn* PvF16 = nullptr;
  PvF32Fn* PvF32 = nullptr;
  FoldFn* Fold = nullptr;
};

// The instruction sets that kernels exist for and this CPU and its OS support, lowest first.
std::vector<std::string_view> SupportedIsas();

// For each op its best kernel of `isa` and the sets below it. An empty `isa` is the value of the
// environment variable HEARTH_ISA and, when that is unset or empty, the best supported.
// FailedPrecondition, naming the supported ones, for any other name.
absl::StatusOr<Table> Select(std::string_view isa);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_KERNELS_H_
