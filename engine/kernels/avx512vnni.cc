// AVX-512 F, BW, DQ, VL and VNNI: Cascade Lake, Zen 4 and later. kernels.h states what is computed;
// avx512vnni_products.cc has the matrix products. Inside the target region: intrinsics only.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/detmath.h"
#include "engine/tensor/float16.h"

#if defined(__clang__)
#pragma clang attribute push(                                                           \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c")
// GCC 12 takes its own _mm512_undefined_* for mistakes of ours (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hearth::kernels::avx512vnni {

#include "engine/kernels/vector512.inc"

namespace {

inline int32_t SumBytes(Bytes bytes) {
  __m128i sum = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), bytes);
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

}  // namespace

#include "engine/kernels/vector_kernels.inc"

namespace {

// Adds dots of four bytes to sum, unsigned times signed. Not the intrinsic: GCC 12 copies and
// spills its accumulators, which costs two thirds of the rate.
inline void AddDots(__m512i& sum, __m512i bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(signed_bytes));
}

// Sum16's tree for four vectors at once; lane i of the result is the sum of v[i].
inline __m128 FoldSum4(const __m512 v[4]) {
  __m256 v8[4];
  for (int i = 0; i < 4; ++i) {
    v8[i] = _mm256_add_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
  }
  const __m256 low01 = _mm256_permute2f128_ps(v8[0], v8[1], 0x20);
  const __m256 high01 = _mm256_permute2f128_ps(v8[0], v8[1], 0x31);
  const __m256 low23 = _mm256_permute2f128_ps(v8[2], v8[3], 0x20);
  const __m256 high23 = _mm256_permute2f128_ps(v8[2], v8[3], 0x31);
  const __m256 v4_01 = _mm256_add_ps(low01, high01);  // [4 lanes of 0 | 4 lanes of 1]
  const __m256 v4_23 = _mm256_add_ps(low23, high23);
  const __m256 v2 = _mm256_add_ps(_mm256_shuffle_ps(v4_01, v4_23, 0x44),
                                  _mm256_shuffle_ps(v4_01, v4_23, 0xee));  // [0 0 2 2 | 1 1 3 3]
  const __m256 v1 = _mm256_add_ps(v2, _mm256_movehdup_ps(v2));             // [0 . 2 . | 1 . 3 .]
  const __m128 even = _mm256_castps256_ps128(v1);
  const __m128 odd = _mm256_extractf128_ps(v1, 1);
  return _mm_blend_ps(even, _mm_moveldup_ps(odd), 0xa);
}

// R <= 4 rows of q against all tokens.
template <typename Element, int R>
void ScoreRows(const float* q, const std::byte* keys, int64_t tokens, int64_t head_dim,
               float* scores, int64_t score_stride) {
  for (int64_t t = 0; t < tokens; t += 4) {
    const int64_t count = tokens - t < 4 ? tokens - t : 4;
    __m512 lane[R][4];
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < 4; ++i) lane[r][i] = _mm512_setzero_ps();
    }
    const std::byte* key[4];  // the last token again where there are fewer than four left
    for (int i = 0; i < 4; ++i) {
      key[i] = keys + (t + (i < count ? i : count - 1)) * head_dim * Element::kBytes;
    }
    for (int64_t d = 0; d < head_dim; d += 16) {
      const __mmask16 mask = First(head_dim - d);  // zeros beyond the end leave a lane as it is
      __m512 v[R];
      for (int r = 0; r < R; ++r) v[r] = _mm512_maskz_loadu_ps(mask, q + r * head_dim + d);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m512 k = Element::LoadFirst(mask, key[i] + d * Element::kBytes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          lane[r][i] = _mm512_add_ps(lane[r][i], _mm512_mul_ps(v[r], k));
        }
      }
    }
    const __mmask8 stored = static_cast<__mmask8>((1u << count) - 1);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      __m128 dot = FoldSum4(lane[r]);
      const __m128 nan = _mm_set1_ps(kNaN);
      dot = _mm_mask_mov_ps(dot, _mm_cmp_ps_mask(dot, dot, _CMP_UNORD_Q), nan);
      _mm_mask_storeu_ps(scores + r * score_stride + t, stored, dot);
    }
  }
}

template <typename Element>
void Score(const float* q, int64_t rows, const void* keys, int64_t tokens, int64_t head_dim,
           float* scores, int64_t stride) {
  const auto* bytes = static_cast<const std::byte*>(keys);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    ScoreRows<Element, 4>(q + r * head_dim, bytes, tokens, head_dim, scores + r * stride, stride);
  }
  for (; r + 3 <= rows; r += 3) {
    ScoreRows<Element, 3>(q + r * head_dim, bytes, tokens, head_dim, scores + r * stride, stride);
  }
  for (; r < rows; ++r) {
    ScoreRows<Element, 1>(q + r * head_dim, bytes, tokens, head_dim, scores + r * stride, stride);
  }
}

// R rows of q from r0 on against a block of an int8 cache: lanes are positions.
template <int R>
void ScoreInt8(const QuantizedHeads& q, int64_t r0, const int8_t* keys, const uint16_t* scales,
               int64_t tokens, float* scores, int64_t stride) {
  const int64_t padded = PaddedHead(q.head_dim);
  const int8_t* query = q.values + r0 * padded;
  __m512i dot[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    dot[r][0] = dot[r][1] = _mm512_set1_epi32(q.offset[r0 + r]);
  }
  for (int64_t g = 0; g < padded / 4; ++g) {
    __m512i key[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      key[i] =
          _mm512_xor_si512(_mm512_loadu_si512(keys + (g * 2 + i) * 64), _mm512_set1_epi8(-128));
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512i four = BroadcastFour(query + r * padded + g * 4);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) AddDots(dot[r][i], key[i], four);
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    if (i * 16 >= tokens) break;
    const __mmask16 mask = First(tokens - i * 16);
    const __m512 key_scales = F16::LoadFirst(mask, scales + i * 16);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(q.scales[r0 + r]), key_scales);
      const __m512 score = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[r][i]), scale);
      _mm512_mask_storeu_ps(scores + (r0 + r) * stride + i * 16, mask, Canonical(score));
    }
  }
}

// Byte `Byte` of 32 non-negative 16-bit weights.
template <int Byte>
inline __m256i WeightBytes(__m512i w) {
  return _mm512_cvtepi16_epi8(Byte == 0 ? w : _mm512_srli_epi16(w, 8));
}

// The bytes of some rows of non-negative weights.
struct SplitWeights {
  alignas(64) uint8_t bytes[6][2][kChunkTokens];  // low and high ones
};

// R rows of weights times elements [d, d + 16 V) of a chunk's values, of which the last 16 lie
// under `mask`. The weights' two bytes are multiplied apart.
template <int R, int V>
void SumValues(const SplitWeights& w, const float* scales, const int8_t* const* values,
               int64_t tokens, int64_t head_dim, int64_t d, __mmask16 mask, float* out) {
  __m512i acc[R][V][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v][0] = acc[r][v][1] = _mm512_setzero_si512();
  }
  for (int64_t t = 0; t < tokens; t += 4) {
    const int8_t* four = values[t / kCacheBlock] + ValueIndex(t % kCacheBlock, d, head_dim);
    __m512i value[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      value[v] = _mm512_maskz_loadu_epi32(v == V - 1 ? mask : __mmask16{0xffff}, four + v * 64);
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int byte = 0; byte < 2; ++byte) {
        int32_t weights;
        __builtin_memcpy(&weights, w.bytes[r][byte] + t, sizeof(weights));
        const __m512i weight = _mm512_set1_epi32(weights);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) AddDots(acc[r][v][byte], weight, value[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const __m512i sum = _mm512_add_epi32(acc[r][v][0], _mm512_slli_epi32(acc[r][v][1], 8));
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scales[r]));
      _mm512_mask_storeu_ps(out + r * head_dim + d + v * 16, v == V - 1 ? mask : __mmask16{0xffff},
                            Canonical(scaled));
    }
  }
}

template <int R>
void SumHead(const SplitWeights& w, const float* scales, const int8_t* const* values,
             int64_t tokens, int64_t head_dim, float* out) {
  constexpr int V = R <= 3 ? 4 : 2;  // as many sums as registers hold
  int64_t d = 0;
  for (; d + 16 * V <= head_dim; d += 16 * V) {
    SumValues<R, V>(w, scales, values, tokens, head_dim, d, 0xffff, out);
  }
  for (; d < head_dim; d += 16) {
    SumValues<R, 1>(w, scales, values, tokens, head_dim, d, First(head_dim - d), out);
  }
}

// R rows of p and elements [d, d + 16 V) of the head, of which the last 16 lie under `mask`.
template <typename Element, int R, int V>
void AccumulateRows(const float* p, int64_t p_stride, const std::byte* values, int64_t tokens,
                    int64_t head_dim, int64_t d, __mmask16 mask, float* out) {
  __m512 acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      const __mmask16 lanes = v == V - 1 ? mask : __mmask16{0xffff};
      acc[r][v] = _mm512_maskz_loadu_ps(lanes, out + r * head_dim + d + v * 16);
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int v = 0; v < V; ++v) {
      const __mmask16 lanes = v == V - 1 ? mask : __mmask16{0xffff};
      const __m512 value =
          Element::LoadFirst(lanes, values + (t * head_dim + d + v * 16) * Element::kBytes);
      for (int r = 0; r < R; ++r) {
        acc[r][v] = _mm512_add_ps(acc[r][v], _mm512_mul_ps(Broadcast(p + r * p_stride + t), value));
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      const __mmask16 lanes = v == V - 1 ? mask : __mmask16{0xffff};
      _mm512_mask_storeu_ps(out + r * head_dim + d + v * 16, lanes, Canonical(acc[r][v]));
    }
  }
}

template <typename Element, int R>
void AccumulateHead(const float* p, int64_t p_stride, const std::byte* values, int64_t tokens,
                    int64_t head_dim, float* out) {
  int64_t d = 0;
  for (; d + 64 <= head_dim; d += 64) {
    AccumulateRows<Element, R, 4>(p, p_stride, values, tokens, head_dim, d, 0xffff, out);
  }
  for (; d < head_dim; d += 16) {
    AccumulateRows<Element, R, 1>(p, p_stride, values, tokens, head_dim, d, First(head_dim - d),
                                  out);
  }
}

template <typename Element>
void Accumulate(const float* p, int64_t p_stride, int64_t rows, const void* values, int64_t tokens,
                int64_t head_dim, float* out) {
  const auto* bytes = static_cast<const std::byte*>(values);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    AccumulateHead<Element, 4>(p + r * p_stride, p_stride, bytes, tokens, head_dim,
                               out + r * head_dim);
  }
  for (; r + 3 <= rows; r += 3) {
    AccumulateHead<Element, 3>(p + r * p_stride, p_stride, bytes, tokens, head_dim,
                               out + r * head_dim);
  }
  for (; r < rows; ++r) {
    AccumulateHead<Element, 1>(p + r * p_stride, p_stride, bytes, tokens, head_dim,
                               out + r * head_dim);
  }
}

}  // namespace

void NarrowKv(const float* x, int64_t head_dim, uint16_t* values) {
  for (int64_t i = 0; i < head_dim; i += 16) {
    const __mmask16 mask = First(head_dim - i);
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
    _mm256_mask_storeu_epi16(values + i, mask, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
}

void QkInt8(const QuantizedHeads& q, const int8_t* keys, const uint16_t* scales, int64_t tokens,
            float* scores, int64_t score_stride) {
  constexpr decltype(&ScoreInt8<1>) kScore[] = {ScoreInt8<1>, ScoreInt8<2>, ScoreInt8<3>,
                                                ScoreInt8<4>, ScoreInt8<5>, ScoreInt8<6>};
  for (int64_t r = 0; r < q.rows; r += 6) {
    const int64_t count = q.rows - r < 6 ? q.rows - r : 6;
    kScore[count - 1](q, r, keys, scales, tokens, scores, score_stride);
  }
}

void QkF16(const float* q, int64_t rows, const uint16_t* keys, int64_t tokens, int64_t head_dim,
           float* scores, int64_t score_stride) {
  Score<F16>(q, rows, keys, tokens, head_dim, scores, score_stride);
}

void PvInt8(const int16_t* w, const float* scales, int64_t rows, const int8_t* const* values,
            int64_t tokens, int64_t head_dim, float* out) {
  SplitWeights split;
  for (int64_t r = 0; r < rows; r += 6) {
    const int64_t count = rows - r < 6 ? rows - r : 6;
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t t = 0; t < tokens; t += 32) {
        const __m512i weights = _mm512_loadu_si512(w + (r + i) * kChunkTokens + t);
        _mm256_store_si256(reinterpret_cast<__m256i*>(split.bytes[i][0] + t),
                           WeightBytes<0>(weights));
        _mm256_store_si256(reinterpret_cast<__m256i*>(split.bytes[i][1] + t),
                           WeightBytes<1>(weights));
      }
    }
    constexpr decltype(&SumHead<1>) kSumHead[] = {SumHead<1>, SumHead<2>, SumHead<3>,
                                                  SumHead<4>, SumHead<5>, SumHead<6>};
    kSumHead[count - 1](split, scales + r, values, tokens, head_dim, out + r * head_dim);
  }
}

void PvF16(const float* p, int64_t p_stride, int64_t rows, const uint16_t* values, int64_t tokens,
           int64_t head_dim, float* out) {
  Accumulate<F16>(p, p_stride, rows, values, tokens, head_dim, out);
}

int64_t Int8Peak(int64_t rounds) {
  constexpr int kSums = 12;
  constexpr int kSteps = 64;
  __m512i ones = _mm512_set1_epi8(1);
  __m512i sums[kSums] = {};
  for (int64_t step = 0; step < rounds * kSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      asm("" : "+v"(ones));  // else the sums would be one
      sums[i] = _mm512_dpbusd_epi32(sums[i], ones, ones);
    }
  }
  int64_t products = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kSums; ++i) products += _mm512_reduce_add_epi32(sums[i]);
  return products;
}

}  // namespace hearth::kernels::avx512vnni

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
