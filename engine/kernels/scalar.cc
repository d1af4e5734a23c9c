// The definition: what kernels.h says, one element at a time. Nothing here is fast.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels/declarations.h"
#include "engine/kernels/superblock.h"
#include "engine/tensor/detmath.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels::scalar {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr uint16_t kF16NaN = 0x7e00;

float Canonical(float x) { return x != x ? kNaN : x; }

float Max(float a, float b) { return a > b ? a : b; }

// To the nearest integer, ties to even. REQUIRES: |v| <= 2^22.
int32_t Round(float v) {
  constexpr float kShift = 0x1.8p+23f;  // at this magnitude floats are integers
  return static_cast<int32_t>((v + kShift) - kShift);
}

int8_t QuantizeElement(float x, float d) {
  const float v = x / d;
  return static_cast<int8_t>(Round(v < -127.0f ? -127.0f : (v > 127.0f ? 127.0f : v)));
}

// The bits of max |x|: as unsigned integers, magnitudes keep their order, and NaN is above all.
uint32_t MaxMagnitude(const float* x, int64_t n) {
  uint32_t max = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
    if (magnitude > max) max = magnitude;
  }
  return max;
}

// One block; returns its scale.
float QuantizeBlock(const float* x, int64_t n, int8_t* q) {
  const uint32_t amax = MaxMagnitude(x, n);
  const float d = amax >= kInfinityBits ? kNaN : std::bit_cast<float>(amax) / 127.0f;
  for (int64_t i = 0; i < n; ++i) q[i] = d > 0.0f ? QuantizeElement(x[i], d) : int8_t{0};
  return d;
}

int32_t Sum(const int8_t* q, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

// The end of Sum16 and of Softmax's maximum.
template <typename Op>
float FoldLanes(float lane[16], Op op) {
  for (int h = 8; h >= 1; h /= 2) {
    for (int i = 0; i < h; ++i) lane[i] = op(lane[i], lane[i + h]);
  }
  return lane[0];
}

template <typename Term>
float Sum16(int64_t n, Term term) {
  float lane[16] = {};
  for (int64_t i = 0; i < n; ++i) lane[i % 16] = lane[i % 16] + term(i);
  return FoldLanes(lane, [](float a, float b) { return a + b; });
}

template <typename T, typename Widen>
void MatMulPlain(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride,
                 Widen widen) {
  const size_t tile_bytes = (w.cols * kTileRows * sizeof(T) + 63) / 64 * 64;
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t n = 0; n < w.rows; ++n) {
      const std::byte* tile = w.tiles + n / kTileRows * tile_bytes;
      float acc = 0.0f;
      for (int64_t k = 0; k < w.cols; ++k) {
        T element;
        std::memcpy(&element, tile + (k * kTileRows + n % kTileRows) * sizeof(T), sizeof(T));
        acc = acc + widen(element) * x[m * w.cols + k];
      }
      out[m * out_stride + n] = Canonical(acc);
    }
  }
}

int32_t DotQ8_0(const std::byte* block, int64_t lane, const int8_t* x) {
  const auto* q = reinterpret_cast<const int8_t*>(block);
  int32_t dot = 0;
  for (int64_t k = 0; k < kQuantBlock; ++k) {
    dot += q[(k / 4 * kTileRows + lane) * 4 + k % 4] * x[k];
  }
  return dot;
}

template <Packing kPacking>
float SuperProduct(const std::byte* tile, int64_t lane, const SuperRows& x, int64_t m) {
  constexpr SuperLayout kLayout = LayoutOf(kPacking);
  const int64_t superblocks = Superblocks(x.cols);
  const auto scale = [&](int64_t index) {
    uint16_t bits;
    const std::byte* scales = tile + superblocks * kLayout.bytes();
    std::memcpy(&bits, scales + (index * kTileRows + lane) * 2, sizeof(bits));
    return F16ToF32(bits);
  };
  const int8_t* q = x.values + m * x.stride();
  float acc = 0.0f;
  for (int64_t c = 0; c < x.blocks(); ++c) {
    const int64_t s = c * kActivationBlock / kSuperblock;
    const PackedSuperblock<kPacking> row{tile + s * kLayout.bytes(), lane};
    int32_t t = 0;
    int32_t u = 0;
    for (int64_t k = c * kActivationBlock; k < (c + 1) * kActivationBlock; ++k) {
      const int64_t at = k % kSuperblock;
      t += row.Multiplier(at) * row.Code(at) * q[k];
      if (kLayout.minima) u += row.Minimum(at / kQuantBlock) * q[k];
    }
    float sum = static_cast<float>(t) * scale(s);
    if (kLayout.minima) sum = sum + static_cast<float>(u) * scale(superblocks + s);
    acc = acc + sum * x.scales[m * x.blocks() + c];
  }
  return Canonical(acc);
}

template <Packing kPacking>
void MatMulSuper(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  const size_t tile_bytes = TileBytes(kPacking, w.cols);
  for (int64_t m = 0; m < x.rows; ++m) {
    for (int64_t n = 0; n < w.rows; ++n) {
      const std::byte* tile = w.tiles + n / kTileRows * tile_bytes;
      out[m * out_stride + n] = SuperProduct<kPacking>(tile, n % kTileRows, x, m);
    }
  }
}

void Rotate(float* a, float* b, float cosine, float sine) {
  const float new_a = *a * cosine - *b * sine;
  const float new_b = *b * cosine + *a * sine;
  *a = Canonical(new_a);
  *b = Canonical(new_b);
}

}  // namespace

void QuantizeRows(const float* x, const QuantizedRows& out) {
  const int64_t blocks = out.rows * (out.cols / kQuantBlock);
  for (int64_t b = 0; b < blocks; ++b) {
    int8_t* q = out.values + b * kQuantBlock;
    out.scales[b] = QuantizeBlock(x + b * kQuantBlock, kQuantBlock, q);
    out.offset[b] = -128 * Sum(q, kQuantBlock);
  }
}

void QuantizeSuperRows(const float* x, const SuperRows& out) {
  const int64_t padded = out.padded();
  for (int64_t m = 0; m < out.rows; ++m) {
    int8_t* q = out.values + m * out.stride();
    std::fill_n(q, out.stride(), int8_t{0});
    for (int64_t k = 0; k < padded; k += kActivationBlock) {
      const int64_t count = std::clamp<int64_t>(out.cols - k, 0, kActivationBlock);
      out.scales[(m * padded + k) / kActivationBlock] =
          QuantizeBlock(x + m * out.cols + k, count, q + k);
    }
    for (int64_t k = 0; k < padded; k += 16) {
      out.sums[(m * padded + k) / 16] = static_cast<int16_t>(Sum(q + k, 16));
    }
  }
}

void MatMulF32(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MatMulPlain<float>(w, x, rows, out, out_stride, [](float v) { return v; });
}

void MatMulF16(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MatMulPlain<uint16_t>(w, x, rows, out, out_stride, F16ToF32);
}

void MatMulBF16(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MatMulPlain<uint16_t>(w, x, rows, out, out_stride, BF16ToF32);
}

void MatMulQ8_0(const PackedRows& w, const QuantizedRows& x, float* out, int64_t out_stride) {
  const int64_t blocks = w.cols / kQuantBlock;
  const size_t tile_bytes = TileBytes(Packing::kQ8_0, w.cols);
  for (int64_t m = 0; m < x.rows; ++m) {
    for (int64_t n = 0; n < w.rows; ++n) {
      const int64_t lane = n % kTileRows;
      const std::byte* tile = w.tiles + n / kTileRows * tile_bytes;
      const auto* scales = reinterpret_cast<const uint16_t*>(tile + w.cols * kTileRows);
      float acc = 0.0f;
      for (int64_t b = 0; b < blocks; ++b) {
        const int32_t dot = DotQ8_0(tile + b * kQuantBlock * kTileRows, lane,
                                    x.values + m * x.cols + b * kQuantBlock);
        const float d = F16ToF32(scales[b * kTileRows + lane]) * x.scales[m * blocks + b];
        acc = acc + static_cast<float>(dot) * d;
      }
      out[m * out_stride + n] = Canonical(acc);
    }
  }
}

void MatMulInt4(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MatMulSuper<Packing::kInt4>(w, x, out, out_stride);
}

void MatMulInt4Min(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MatMulSuper<Packing::kInt4Min>(w, x, out, out_stride);
}

void MatMulInt5(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MatMulSuper<Packing::kInt5>(w, x, out, out_stride);
}

void MatMulInt5Min(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MatMulSuper<Packing::kInt5Min>(w, x, out, out_stride);
}

void MatMulInt6(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MatMulSuper<Packing::kInt6>(w, x, out, out_stride);
}

void RmsNorm(const float* x, int64_t cols, const float* weight, float epsilon, float* out) {
  const float sum = Sum16(cols, [x](int64_t i) { return x[i] * x[i]; });
  const float mean = sum / static_cast<float>(cols);
  const float r = 1.0f / std::sqrt(mean + epsilon);
  for (int64_t i = 0; i < cols; ++i) out[i] = Canonical((x[i] * r) * weight[i]);
}

void Add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = Canonical(x[i] + y[i]);
}

void SwiGlu(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float silu = gate[i] / (1.0f + detmath::Exp(-gate[i]));
    out[i] = Canonical(silu * up[i]);
  }
}

void RopeHalves(float* x, int64_t heads, int64_t stride, int64_t pairs, const float* cosine,
                const float* sine) {
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * stride;
    for (int64_t i = 0; i < pairs; ++i) Rotate(head + i, head + pairs + i, cosine[i], sine[i]);
  }
}

void RopeAdjacent(float* x, int64_t heads, int64_t stride, int64_t pairs, const float* cosine,
                  const float* sine) {
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * stride;
    for (int64_t i = 0; i < pairs; ++i) {
      Rotate(head + 2 * i, head + 2 * i + 1, cosine[i], sine[i]);
    }
  }
}

void QuantizeKv(const float* x, int64_t head_dim, int8_t* values, uint16_t* scale) {
  const uint32_t amax = MaxMagnitude(x, head_dim);
  const bool finite = amax < kInfinityBits;
  *scale = finite ? F32ToF16(std::bit_cast<float>(amax) / 127.0f) : kF16NaN;
  const float d = F16ToF32(*scale);
  for (int64_t i = 0; i < head_dim; ++i) values[i] = d > 0.0f ? QuantizeElement(x[i], d) : 0;
}

void NarrowKv(const float* x, int64_t head_dim, uint16_t* values) {
  for (int64_t i = 0; i < head_dim; ++i) values[i] = F32ToF16(x[i]);
}

void QuantizeHeads(const float* x, const QuantizedHeads& out) {
  const int64_t padded = PaddedHead(out.head_dim);
  for (int64_t r = 0; r < out.rows; ++r) {
    int8_t* q = out.values + r * padded;
    std::fill_n(q, padded, int8_t{0});
    out.scales[r] = QuantizeBlock(x + r * out.head_dim, out.head_dim, q);
    out.offset[r] = -128 * Sum(q, padded);
  }
}

void QkInt8(const QuantizedHeads& q, const int8_t* keys, const uint16_t* scales, int64_t tokens,
            float* scores, int64_t score_stride) {
  for (int64_t r = 0; r < q.rows; ++r) {
    const int8_t* query = q.values + r * PaddedHead(q.head_dim);
    for (int64_t t = 0; t < tokens; ++t) {
      int32_t dot = 0;
      for (int64_t i = 0; i < q.head_dim; ++i) dot += query[i] * keys[KeyIndex(t, i)];
      const float scale = q.scales[r] * F16ToF32(scales[t]);
      scores[r * score_stride + t] = Canonical(static_cast<float>(dot) * scale);
    }
  }
}

namespace {

// scores[r][t] = Sum16(q[r] * key[t]), with key elements as `element(t * head_dim + i)`.
template <typename Element>
void Qk(const float* q, int64_t rows, int64_t tokens, int64_t head_dim, float* scores,
        int64_t score_stride, Element element) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* query = q + r * head_dim;
    for (int64_t t = 0; t < tokens; ++t) {
      const float dot =
          Sum16(head_dim, [=](int64_t i) { return query[i] * element(t * head_dim + i); });
      scores[r * score_stride + t] = Canonical(dot);
    }
  }
}

}  // namespace

void QkF16(const float* q, int64_t rows, const uint16_t* keys, int64_t tokens, int64_t head_dim,
           float* scores, int64_t score_stride) {
  Qk(q, rows, tokens, head_dim, scores, score_stride, [=](int64_t i) { return F16ToF32(keys[i]); });
}

void QkF32(const float* q, int64_t rows, const float* keys, int64_t tokens, int64_t head_dim,
           float* scores, int64_t score_stride) {
  Qk(q, rows, tokens, head_dim, scores, score_stride, [=](int64_t i) { return keys[i]; });
}

void Softmax(float* scores, int64_t n, float* max, float* sum) {
  float lane[16];
  for (float& value : lane) value = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) lane[i % 16] = Max(lane[i % 16], scores[i]);
  const float m = FoldLanes(lane, Max);
  for (int64_t i = 0; i < n; ++i) scores[i] = Canonical(detmath::Exp(scores[i] - m));
  *max = Canonical(m);
  *sum = Canonical(Sum16(n, [scores](int64_t i) { return scores[i]; }));
}

float QuantizeWeights(float* p, const uint16_t* const* scales, int64_t tokens, int16_t* w) {
  uint32_t max = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    p[t] = Canonical(p[t] * F16ToF32(scales[t / kCacheBlock][t % kCacheBlock]));
    max = std::max(max, std::bit_cast<uint32_t>(p[t]));
  }
  const float d = max >= kInfinityBits ? kNaN : std::bit_cast<float>(max) / 32767.0f;
  for (int64_t t = 0; t < kChunkTokens; ++t) {
    const float v = t < tokens && d > 0.0f ? p[t] / d : 0.0f;
    w[t] = static_cast<int16_t>(Round(v > 32767.0f ? 32767.0f : v));
  }
  return d;
}

void PvInt8(const int16_t* w, const float* scales, int64_t rows, const int8_t* const* values,
            int64_t tokens, int64_t head_dim, float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < head_dim; ++i) {
      int32_t sum = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        sum += w[r * kChunkTokens + t] *
               values[t / kCacheBlock][ValueIndex(t % kCacheBlock, i, head_dim)];
      }
      out[r * head_dim + i] = Canonical(static_cast<float>(sum) * scales[r]);
    }
  }
}

namespace {

// out[r][i] += p[r][t] * element(t * head_dim + i) over ascending t.
template <typename Element>
void Pv(const float* p, int64_t p_stride, int64_t rows, int64_t tokens, int64_t head_dim,
        float* out, Element element) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < head_dim; ++i) {
      float acc = out[r * head_dim + i];
      for (int64_t t = 0; t < tokens; ++t) {
        acc = acc + p[r * p_stride + t] * element(t * head_dim + i);
      }
      out[r * head_dim + i] = Canonical(acc);
    }
  }
}

}  // namespace

void PvF16(const float* p, int64_t p_stride, int64_t rows, const uint16_t* values, int64_t tokens,
           int64_t head_dim, float* out) {
  Pv(p, p_stride, rows, tokens, head_dim, out, [=](int64_t i) { return F16ToF32(values[i]); });
}

void PvF32(const float* p, int64_t p_stride, int64_t rows, const float* values, int64_t tokens,
           int64_t head_dim, float* out) {
  Pv(p, p_stride, rows, tokens, head_dim, out, [=](int64_t i) { return values[i]; });
}

void Fold(const Partial& total, const Partial& chunk, int64_t head_dim) {
  const float m = Max(*total.max, *chunk.max);
  const float a = detmath::Exp(*total.max - m);
  const float b = detmath::Exp(*chunk.max - m);
  *total.max = Canonical(m);
  *total.sum = Canonical(*total.sum * a + *chunk.sum * b);
  for (int64_t i = 0; i < head_dim; ++i) {
    total.out[i] = Canonical(total.out[i] * a + chunk.out[i] * b);
  }
}

int64_t Int8Peak(int64_t rounds) {
  int8_t ones[kSuperblock];
  std::fill(std::begin(ones), std::end(ones), int8_t{1});
  int64_t products = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(ones));  // else it would be summed once for all
    int32_t sum = 0;
    for (const int8_t one : ones) sum += one * one;
    products += sum;
  }
  return products;
}

}  // namespace hearth::kernels::scalar
