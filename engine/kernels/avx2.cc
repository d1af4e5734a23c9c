// AVX2 and F16C: Haswell, Zen and later. kernels.h states what is computed; the functions stand
// in the order of scalar.cc. Inside the target region: intrinsics only. The sixteen lanes of
// kernels.h are two vectors of eight.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/detmath.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif

namespace hearth::kernels::avx2 {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;

// Sixteen lanes.
struct Lanes {
  __m256 low;   // 0..7
  __m256 high;  // 8..15
};

// All bits set in the first n of 8 lanes, in all for n >= 8, in none for n <= 0.
inline __m256i First(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int count = n > 8 ? 8 : static_cast<int>(n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), index);
}

inline __m256 Select(__m256 mask, __m256 yes, __m256 no) { return _mm256_blendv_ps(no, yes, mask); }

inline __m256 Canonical(__m256 v) {
  return Select(_mm256_cmp_ps(v, v, _CMP_UNORD_Q), _mm256_set1_ps(kNaN), v);
}

inline float Canonical(float x) { return x != x ? kNaN : x; }

// detmath::Exp, statement by statement.
inline __m256 Exp(__m256 x) {
  namespace c = detmath::expf;
  const __m256 t = _mm256_mul_ps(x, _mm256_set1_ps(c::kLog2E));
  const __m256 z = _mm256_add_ps(t, _mm256_set1_ps(c::kRound));
  const __m256 n = _mm256_sub_ps(z, _mm256_set1_ps(c::kRound));
  const __m256 hi = _mm256_mul_ps(n, _mm256_set1_ps(c::kLn2Hi));
  const __m256 lo = _mm256_mul_ps(n, _mm256_set1_ps(c::kLn2Lo));
  __m256 r = _mm256_sub_ps(x, hi);
  r = _mm256_sub_ps(r, lo);
  __m256 p = _mm256_set1_ps(c::kC6);
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(c::kC5));
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(c::kC4));
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(c::kC3));
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(c::kC2));
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(1.0f));
  p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(1.0f));
  const __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(z), 23);
  __m256 y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted));
  const __m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(c::kMin), _CMP_LT_OQ);
  y = Select(below, _mm256_setzero_ps(), y);
  const __m256 outside = _mm256_add_ps(x, _mm256_set1_ps(__builtin_inff()));
  const __m256 in_range = _mm256_cmp_ps(x, _mm256_set1_ps(c::kMax), _CMP_LE_OQ);
  return Select(in_range, y, outside);
}

// Sum16's tree.
inline float FoldSum(Lanes v) {
  const __m256 v8 = _mm256_add_ps(v.low, v.high);
  const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
  const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}

// Softmax's maximum, folded. maxps(a, b) is Max(a, b).
inline float FoldMax(Lanes v) {
  const __m256 v8 = _mm256_max_ps(v.low, v.high);
  const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
  const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_max_ss(v2, _mm_movehdup_ps(v2)));
}

inline uint32_t FoldMaxBits(__m256i v) {
  __m128i v4 = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  v4 = _mm_max_epu32(v4, _mm_shuffle_epi32(v4, 0x4e));
  v4 = _mm_max_epu32(v4, _mm_shuffle_epi32(v4, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(v4));
}

inline int32_t FoldSumInt(__m256i v) {
  __m128i v4 = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  v4 = _mm_add_epi32(v4, _mm_shuffle_epi32(v4, 0x4e));
  v4 = _mm_add_epi32(v4, _mm_shuffle_epi32(v4, 0xb1));
  return _mm_cvtsi128_si32(v4);
}

inline __m256i Magnitude(__m256 v) {
  return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}

// Round(clamp(x / d, -127, 127)).
inline __m256i QuantizeElements(__m256 x, __m256 d) {
  const __m256 v = _mm256_max_ps(_mm256_div_ps(x, d), _mm256_set1_ps(-127.0f));
  const __m256 clamped = _mm256_min_ps(v, _mm256_set1_ps(127.0f));
  return _mm256_cvttps_epi32(
      _mm256_round_ps(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

inline __m256 Broadcast(const float* p) { return _mm256_broadcast_ss(p); }

inline __m256i BroadcastFour(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm256_set1_epi32(four);
}

// Element types of plain weights and of keys and values: 8 as f32, and the first n of 8, the
// others zero.
struct F32 {
  static constexpr int kBytes = 4;
  static __m256 Load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
};
struct F16 {
  static constexpr int kBytes = 2;
  static __m256 Load(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
};
struct BF16 {
  static constexpr int kBytes = 2;
  static __m256 Load(const void* p) {
    const __m128i bits = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
};
struct Int8 {
  static constexpr int kBytes = 1;
  static __m256 Load(const void* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
};

template <typename Element>
inline __m256 LoadFirst(int64_t n, const void* p) {
  if (n >= 8) return Element::Load(p);
  alignas(16) std::byte padded[8 * Element::kBytes] = {};
  if (n > 0) __builtin_memcpy(padded, p, n * Element::kBytes);
  return Element::Load(padded);
}

inline void StoreFirst(float* p, int64_t n, __m256 v) {
  if (n >= 8) {
    _mm256_storeu_ps(p, v);
  } else {
    _mm256_maskstore_ps(p, First(n), v);
  }
}

// The tile that follows the one at hand, towards the second-level cache: what the hardware fetches
// by itself does not reach past a page's end.
inline void PrefetchNext(const std::byte* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// The results of R rows and tile t, of a matrix with n outputs.
template <int R>
inline void Store(const __m256 acc[R][2], int64_t n, int64_t t, float* out, int64_t out_stride) {
  for (int r = 0; r < R; ++r) {
    for (int h = 0; h < 2; ++h) {
      const int64_t first = t * kTileRows + h * 8;
      StoreFirst(out + r * out_stride + first, n - first, Canonical(acc[r][h]));
    }
  }
}

// out = w x for plain weights; Multiply does R rows of x from m on times tile t.
template <typename Element>
struct PlainProduct {
  PackedRows w;
  const float* x;
  float* out;
  int64_t out_stride;

  template <int R>
  void Multiply(int64_t t, int64_t m) const {
    constexpr int kStepBytes = Element::kBytes * kTileRows;
    const size_t tile_bytes = (w.cols * kStepBytes + 63) / 64 * 64;
    const std::byte* tile = w.tiles + t * tile_bytes;
    __m256 acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    const float* column = x + m * w.cols;
    for (int64_t k = 0; k < w.cols; ++k) {
      const __m256 low = Element::Load(tile);
      const __m256 high = Element::Load(tile + kStepBytes / 2);
      PrefetchNext(tile + tile_bytes, kStepBytes);
      tile += kStepBytes;
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256 xk = Broadcast(column + k + r * w.cols);
        acc[r][0] = _mm256_add_ps(acc[r][0], _mm256_mul_ps(low, xk));
        acc[r][1] = _mm256_add_ps(acc[r][1], _mm256_mul_ps(high, xk));
      }
    }
    Store<R>(acc, w.rows, t, out + m * out_stride, out_stride);
  }
};

inline __m256i LoadQuants(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Makes a sum opaque: GCC would turn a chain of integer additions into a tree and spill its leaves.
inline void KeepChain(__m256i& sum) { asm("" : "+x"(sum)); }

// Dots of a block of 32 for R rows of x and the two halves of a tile's outputs.
struct Q4_0 {
  static constexpr int kQuantBytes = 16;
  template <int R>
  static void Dots(const std::byte* block, const int8_t* q, int64_t q_stride, const int32_t* offset,
                   int64_t offset_stride, __m256i dot[R][2]) {
    __m256i sum[R][2];  // |sum| <= 8 * 2 * 15 * 127, which 16 bits hold
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      __m256i w[4][2];
      for (int j = 0; j < 4; ++j) {
        for (int h = 0; h < 2; ++h) {
          const __m256i bytes = LoadQuants(block + j * 64 + h * 32);
          w[j][h] = _mm256_and_si256(half == 0 ? bytes : _mm256_srli_epi16(bytes, 4),
                                     _mm256_set1_epi8(15));
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        for (int j = 0; j < 4; ++j) {
          const __m256i four = BroadcastFour(q + r * q_stride + half * 16 + j * 4);
          for (int h = 0; h < 2; ++h) {
            const __m256i pairs = _mm256_maddubs_epi16(w[j][h], four);
            sum[r][h] = half == 0 && j == 0 ? pairs : _mm256_add_epi16(sum[r][h], pairs);
            KeepChain(sum[r][h]);
          }
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      const __m256i start = _mm256_set1_epi32(offset[r * offset_stride]);
      for (int h = 0; h < 2; ++h) {
        const __m256i fours = _mm256_madd_epi16(sum[r][h], _mm256_set1_epi16(1));
        dot[r][h] = _mm256_add_epi32(start, fours);
      }
    }
  }
};
struct Q8_0 {
  static constexpr int kQuantBytes = 32;
  template <int R>
  static void Dots(const std::byte* block, const int8_t* q, int64_t q_stride, const int32_t*,
                   int64_t, __m256i dot[R][2]) {
    for (int r = 0; r < R; ++r) dot[r][0] = dot[r][1] = _mm256_setzero_si256();
    for (int j = 0; j < 8; ++j) {
      const __m256i w[2] = {LoadQuants(block + j * 64), LoadQuants(block + j * 64 + 32)};
      // -128 becomes 128, unsigned.
      const __m256i magnitude[2] = {_mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1])};
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256i four = BroadcastFour(q + r * q_stride + j * 4);
        for (int h = 0; h < 2; ++h) {
          const __m256i signed_four = _mm256_sign_epi8(four, w[h]);
          const __m256i pairs = _mm256_maddubs_epi16(magnitude[h], signed_four);  // < 2^15
          const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
          dot[r][h] = _mm256_add_epi32(dot[r][h], fours);
          KeepChain(dot[r][h]);
        }
      }
    }
  }
};

// Likewise for quantised weights.
template <typename Format>
struct BlockProduct {
  PackedRows w;
  QuantizedRows x;
  float* out;
  int64_t out_stride;

  template <int R>
  void Multiply(int64_t t, int64_t m) const {
    constexpr int kBlockBytes = Format::kQuantBytes * kTileRows;
    const int64_t blocks = w.cols / kQuantBlock;
    const size_t tile_bytes = (blocks * (kBlockBytes + 2 * kTileRows) + 63) / 64 * 64;
    const std::byte* tile = w.tiles + t * tile_bytes;
    const std::byte* tile_scales = tile + blocks * kBlockBytes;
    const int8_t* values = x.values + m * w.cols;
    const float* scales = x.scales + m * blocks;
    const int32_t* offset = x.offset + m * blocks;
    __m256 acc[R][2];
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (int64_t b = 0; b < blocks; ++b) {
      PrefetchNext(tile + tile_bytes + b * kBlockBytes, kBlockBytes);
      __m256i dot[R][2];
      Format::template Dots<R>(tile + b * kBlockBytes, values + b * kQuantBlock, w.cols, offset + b,
                               blocks, dot);
      const __m256 d[2] = {F16::Load(tile_scales + b * kTileRows * 2),
                           F16::Load(tile_scales + b * kTileRows * 2 + 16)};
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256 row_scale = Broadcast(scales + r * blocks + b);
        for (int h = 0; h < 2; ++h) {
          const __m256 scale = _mm256_mul_ps(d[h], row_scale);
          const __m256 term = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[r][h]), scale);
          acc[r][h] = _mm256_add_ps(acc[r][h], term);
        }
      }
    }
    Store<R>(acc, w.rows, t, out + m * out_stride, out_stride);
  }
};

// Every tile times every row. A tile is read from memory once for kPassRows rows of x, which
// stay in the second-level cache meanwhile. Four rows at once is what the registers allow.
template <typename Product>
void MultiplyAll(const Product& product, int64_t rows) {
  constexpr int64_t kPassRows = 60;
  const int64_t tiles = (product.w.rows + kTileRows - 1) / kTileRows;
  for (int64_t first = 0; first < rows; first += kPassRows) {
    const int64_t end = first + kPassRows < rows ? first + kPassRows : rows;
    for (int64_t t = 0; t < tiles; ++t) {
      int64_t m = first;
      for (; m + 4 <= end; m += 4) product.template Multiply<4>(t, m);
      for (; m + 2 <= end; m += 2) product.template Multiply<2>(t, m);
      for (; m < end; ++m) product.template Multiply<1>(t, m);
    }
  }
}

// R rows of q against all tokens.
template <typename Element, int R>
void ScoreRows(const float* q, const std::byte* keys, const uint16_t* scales, int64_t tokens,
               int64_t head_dim, float* scores, int64_t score_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    const std::byte* key = keys + t * head_dim * Element::kBytes;
    Lanes lane[R];
    for (int r = 0; r < R; ++r) lane[r] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int64_t d = 0;
    for (; d + 16 <= head_dim; d += 16) {
      const __m256 low = Element::Load(key + d * Element::kBytes);
      const __m256 high = Element::Load(key + (d + 8) * Element::kBytes);
      for (int r = 0; r < R; ++r) {
        const float* v = q + r * head_dim + d;
        lane[r].low = _mm256_add_ps(lane[r].low, _mm256_mul_ps(_mm256_loadu_ps(v), low));
        lane[r].high = _mm256_add_ps(lane[r].high, _mm256_mul_ps(_mm256_loadu_ps(v + 8), high));
      }
    }
    if (d < head_dim) {  // zeros beyond the end leave a lane as it is
      const int64_t n = head_dim - d;
      const __m256 low = LoadFirst<Element>(n, key + d * Element::kBytes);
      const __m256 high = LoadFirst<Element>(n - 8, key + (d + 8) * Element::kBytes);
      for (int r = 0; r < R; ++r) {
        const float* v = q + r * head_dim + d;
        const __m256 v_low = LoadFirst<F32>(n, v);
        const __m256 v_high = LoadFirst<F32>(n - 8, v + 8);
        lane[r].low = _mm256_add_ps(lane[r].low, _mm256_mul_ps(v_low, low));
        lane[r].high = _mm256_add_ps(lane[r].high, _mm256_mul_ps(v_high, high));
      }
    }
    const float scale = scales == nullptr ? 1.0f : _cvtsh_ss(scales[t]);
    for (int r = 0; r < R; ++r) {
      scores[r * score_stride + t] = Canonical(FoldSum(lane[r]) * scale);
    }
  }
}

template <typename Element>
void Score(const float* q, int64_t rows, const void* keys, const uint16_t* scales, int64_t tokens,
           int64_t head_dim, float* scores, int64_t stride) {
  const auto* bytes = static_cast<const std::byte*>(keys);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    ScoreRows<Element, 4>(q + r * head_dim, bytes, scales, tokens, head_dim, scores + r * stride,
                          stride);
  }
  for (; r + 3 <= rows; r += 3) {
    ScoreRows<Element, 3>(q + r * head_dim, bytes, scales, tokens, head_dim, scores + r * stride,
                          stride);
  }
  for (; r < rows; ++r) {
    ScoreRows<Element, 1>(q + r * head_dim, bytes, scales, tokens, head_dim, scores + r * stride,
                          stride);
  }
}

// R rows of p (32 apart, already times the values' scales) and elements [d, d + 8 V) of the head,
// of which the last `n` <= 8 exist.
template <typename Element, int R, int V>
void AccumulateRows(const float* p, const std::byte* values, int64_t tokens, int64_t head_dim,
                    int64_t d, int64_t n, float* out) {
  __m256 acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      acc[r][v] = LoadFirst<F32>(v == V - 1 ? n : 8, out + r * head_dim + d + v * 8);
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int v = 0; v < V; ++v) {
      const std::byte* element = values + (t * head_dim + d + v * 8) * Element::kBytes;
      const __m256 value = LoadFirst<Element>(v == V - 1 ? n : 8, element);
      for (int r = 0; r < R; ++r) {
        acc[r][v] = _mm256_add_ps(acc[r][v], _mm256_mul_ps(Broadcast(p + r * 32 + t), value));
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      StoreFirst(out + r * head_dim + d + v * 8, v == V - 1 ? n : 8, Canonical(acc[r][v]));
    }
  }
}

template <typename Element, int R>
void AccumulateHead(const float* p, const std::byte* values, int64_t tokens, int64_t head_dim,
                    float* out) {
  int64_t d = 0;
  for (; d + 16 <= head_dim; d += 16) {
    AccumulateRows<Element, R, 2>(p, values, tokens, head_dim, d, 8, out);
  }
  for (; d < head_dim; d += 8) {
    const int64_t n = head_dim - d < 8 ? head_dim - d : 8;
    AccumulateRows<Element, R, 1>(p, values, tokens, head_dim, d, n, out);
  }
}

// p times the scales of the values for up to four rows at a time, then the sums.
template <typename Element>
void Accumulate(const float* p, int64_t p_stride, int64_t rows, const void* values,
                const uint16_t* scales, int64_t tokens, int64_t head_dim, float* out) {
  const auto* bytes = static_cast<const std::byte*>(values);
  for (int64_t r = 0; r < rows; r += 4) {
    const int64_t count = rows - r < 4 ? rows - r : 4;
    alignas(32) float scaled[4 * 32];
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t t = 0; t < tokens; t += 8) {
        __m256 v = LoadFirst<F32>(tokens - t, p + (r + i) * p_stride + t);
        if (scales != nullptr) v = _mm256_mul_ps(v, LoadFirst<F16>(tokens - t, scales + t));
        _mm256_store_ps(scaled + i * 32 + t, v);
      }
    }
    float* row = out + r * head_dim;
    switch (count) {
      case 4:
        AccumulateHead<Element, 4>(scaled, bytes, tokens, head_dim, row);
        break;
      case 3:
        AccumulateHead<Element, 3>(scaled, bytes, tokens, head_dim, row);
        break;
      case 2:
        AccumulateHead<Element, 2>(scaled, bytes, tokens, head_dim, row);
        break;
      default:
        AccumulateHead<Element, 1>(scaled, bytes, tokens, head_dim, row);
        break;
    }
  }
}

}  // namespace

void QuantizeRows(const float* x, const QuantizedRows& out) {
  const int64_t blocks = out.rows * (out.cols / kQuantBlock);
  for (int64_t b = 0; b < blocks; ++b) {
    __m256 v[4];
    __m256i max = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + b * kQuantBlock + i * 8);
      max = _mm256_max_epu32(max, Magnitude(v[i]));
    }
    const uint32_t amax = FoldMaxBits(max);
    const float d = amax >= kInfinityBits ? kNaN : std::bit_cast<float>(amax) / 127.0f;
    __m256i q[4] = {};
    __m256i sum = _mm256_setzero_si256();
    if (d > 0.0f) {
      for (int i = 0; i < 4; ++i) {
        q[i] = QuantizeElements(v[i], _mm256_set1_ps(d));
        sum = _mm256_add_epi32(sum, q[i]);
      }
    }
    // Packing works in halves of 128 bits: groups of four come out as 0 2 4 6 1 3 5 7.
    const __m256i packed =
        _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.values + b * kQuantBlock),
                        _mm256_permutevar8x32_epi32(packed, order));
    out.scales[b] = d;
    out.offset[b] = -8 * FoldSumInt(sum);
  }
}

void MatMulF32(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MultiplyAll(PlainProduct<F32>{w, x, out, out_stride}, rows);
}

void MatMulF16(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MultiplyAll(PlainProduct<F16>{w, x, out, out_stride}, rows);
}

void MatMulBF16(const PackedRows& w, const float* x, int64_t rows, float* out, int64_t out_stride) {
  MultiplyAll(PlainProduct<BF16>{w, x, out, out_stride}, rows);
}

void MatMulQ8_0(const PackedRows& w, const QuantizedRows& x, float* out, int64_t out_stride) {
  MultiplyAll(BlockProduct<Q8_0>{w, x, out, out_stride}, x.rows);
}

void MatMulQ4_0(const PackedRows& w, const QuantizedRows& x, float* out, int64_t out_stride) {
  MultiplyAll(BlockProduct<Q4_0>{w, x, out, out_stride}, x.rows);
}

void RmsNorm(const float* x, int64_t cols, const float* weight, float epsilon, float* out) {
  Lanes lane = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int64_t i = 0; i < cols; i += 16) {
    const __m256 low = LoadFirst<F32>(cols - i, x + i);
    const __m256 high = LoadFirst<F32>(cols - i - 8, x + i + 8);
    lane.low = _mm256_add_ps(lane.low, _mm256_mul_ps(low, low));
    lane.high = _mm256_add_ps(lane.high, _mm256_mul_ps(high, high));
  }
  const float mean = FoldSum(lane) / static_cast<float>(cols);
  const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + epsilon)));
  const __m256 r = _mm256_set1_ps(1.0f / root);
  for (int64_t i = 0; i < cols; i += 8) {
    const __m256 v = _mm256_mul_ps(LoadFirst<F32>(cols - i, x + i), r);
    const __m256 scaled = _mm256_mul_ps(v, LoadFirst<F32>(cols - i, weight + i));
    StoreFirst(out + i, cols - i, Canonical(scaled));
  }
}

void SwiGlu(const float* gate, const float* up, int64_t n, float* out) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 g = LoadFirst<F32>(n - i, gate + i);
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, Exp(_mm256_xor_ps(g, sign))));
    const __m256 product = _mm256_mul_ps(silu, LoadFirst<F32>(n - i, up + i));
    StoreFirst(out + i, n - i, Canonical(product));
  }
}

void RopeHalves(float* x, int64_t heads, int64_t stride, int64_t pairs, const float* cosine,
                const float* sine) {
  for (int64_t i = 0; i < pairs; i += 8) {
    const int64_t n = pairs - i;
    const __m256 c = LoadFirst<F32>(n, cosine + i);
    const __m256 s = LoadFirst<F32>(n, sine + i);
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + h * stride + i;
      const __m256 a = LoadFirst<F32>(n, head);
      const __m256 b = LoadFirst<F32>(n, head + pairs);
      const __m256 new_a = _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s));
      const __m256 new_b = _mm256_add_ps(_mm256_mul_ps(b, c), _mm256_mul_ps(a, s));
      StoreFirst(head, n, Canonical(new_a));
      StoreFirst(head + pairs, n, Canonical(new_b));
    }
  }
}

void RopeAdjacent(float* x, int64_t heads, int64_t stride, int64_t pairs, const float* cosine,
                  const float* sine) {
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  for (int64_t i = 0; i < pairs; i += 4) {
    const int64_t half = pairs - i < 4 ? pairs - i : 4;
    const int64_t n = 2 * half;
    const __m256 c = _mm256_permutevar8x32_ps(LoadFirst<F32>(half, cosine + i), twice);
    const __m256 s = _mm256_permutevar8x32_ps(LoadFirst<F32>(half, sine + i), twice);
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + h * stride + 2 * i;
      const __m256 ab = LoadFirst<F32>(n, head);
      const __m256 direct = _mm256_mul_ps(ab, c);
      const __m256 crossed = _mm256_mul_ps(_mm256_permute_ps(ab, 0xb1), s);  // b s, a s
      StoreFirst(head, n, Canonical(_mm256_addsub_ps(direct, crossed)));
    }
  }
}

void QuantizeKv(const float* x, int64_t head_dim, int8_t* values, uint16_t* scale) {
  __m256i max = _mm256_setzero_si256();
  for (int64_t i = 0; i < head_dim; i += 8) {
    max = _mm256_max_epu32(max, Magnitude(LoadFirst<F32>(head_dim - i, x + i)));
  }
  const uint32_t amax = FoldMaxBits(max);
  const float d = amax >= kInfinityBits ? kNaN : std::bit_cast<float>(amax) / 127.0f;
  const __m128i narrow = _mm_cvtps_ph(_mm_set_ss(d), _MM_FROUND_TO_NEAREST_INT);
  *scale = static_cast<uint16_t>(_mm_cvtsi128_si32(narrow));
  const __m256 stored = _mm256_broadcastss_ps(_mm_cvtph_ps(narrow));
  const bool positive = _mm256_cvtss_f32(stored) > 0.0f;
  for (int64_t i = 0; i < head_dim; i += 8) {
    __m256i q = _mm256_setzero_si256();
    if (positive) q = QuantizeElements(LoadFirst<F32>(head_dim - i, x + i), stored);
    __m128i bytes = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    bytes = _mm_packs_epi16(bytes, bytes);
    const int64_t n = head_dim - i;
    __builtin_memcpy(values + i, &bytes, n < 8 ? n : 8);
  }
}

void NarrowKv(const float* x, int64_t head_dim, uint16_t* values) {
  for (int64_t i = 0; i < head_dim; i += 8) {
    const int64_t n = head_dim - i;
    const __m128i v = _mm256_cvtps_ph(LoadFirst<F32>(n, x + i), _MM_FROUND_TO_NEAREST_INT);
    __builtin_memcpy(values + i, &v, n < 8 ? n * 2 : 16);
  }
}

void QkInt8(const float* q, int64_t rows, const int8_t* keys, const uint16_t* scales,
            int64_t tokens, int64_t head_dim, float* scores, int64_t score_stride) {
  Score<Int8>(q, rows, keys, scales, tokens, head_dim, scores, score_stride);
}

void QkF16(const float* q, int64_t rows, const uint16_t* keys, int64_t tokens, int64_t head_dim,
           float* scores, int64_t score_stride) {
  Score<F16>(q, rows, keys, nullptr, tokens, head_dim, scores, score_stride);
}

void Softmax(float* scores, int64_t n, float* max, float* sum) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  Lanes lane = {lowest, lowest};
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = LoadFirst<F32>(n - i, scores + i);
    __m256& half = i % 16 == 0 ? lane.low : lane.high;
    half = Select(_mm256_castsi256_ps(First(n - i)), _mm256_max_ps(half, v), half);
  }
  const float m = FoldMax(lane);
  lane = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = LoadFirst<F32>(n - i, scores + i);
    const __m256 e = Canonical(Exp(_mm256_sub_ps(v, _mm256_set1_ps(m))));
    __m256& half = i % 16 == 0 ? lane.low : lane.high;
    half = Select(_mm256_castsi256_ps(First(n - i)), _mm256_add_ps(half, e), half);
    StoreFirst(scores + i, n - i, e);
  }
  *max = Canonical(m);
  *sum = Canonical(FoldSum(lane));
}

void PvInt8(const float* p, int64_t p_stride, int64_t rows, const int8_t* values,
            const uint16_t* scales, int64_t tokens, int64_t head_dim, float* out) {
  Accumulate<Int8>(p, p_stride, rows, values, scales, tokens, head_dim, out);
}

void PvF16(const float* p, int64_t p_stride, int64_t rows, const uint16_t* values, int64_t tokens,
           int64_t head_dim, float* out) {
  Accumulate<F16>(p, p_stride, rows, values, nullptr, tokens, head_dim, out);
}

void Fold(const Partial& total, const Partial& chunk, int64_t head_dim) {
  const float m = *total.max > *chunk.max ? *total.max : *chunk.max;
  const __m256 a = Exp(_mm256_set1_ps(*total.max - m));
  const __m256 b = Exp(_mm256_set1_ps(*chunk.max - m));
  *total.max = Canonical(m);
  *total.sum = Canonical(*total.sum * _mm256_cvtss_f32(a) + *chunk.sum * _mm256_cvtss_f32(b));
  for (int64_t i = 0; i < head_dim; i += 8) {
    const int64_t n = head_dim - i;
    const __m256 t = _mm256_mul_ps(LoadFirst<F32>(n, total.out + i), a);
    const __m256 c = _mm256_mul_ps(LoadFirst<F32>(n, chunk.out + i), b);
    StoreFirst(total.out + i, n, Canonical(_mm256_add_ps(t, c)));
  }
}

}  // namespace hearth::kernels::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
