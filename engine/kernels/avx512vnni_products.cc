// AVX-512 VNNI: matrix products; kernels.h states what is computed. Inside the target region:
// intrinsics only.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"

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

// Rows of x that share one walk over the weights: they stay in the second-level cache meanwhile.
constexpr int64_t kPassRows = 72;

// What lies like the bytes at p in the tiles that follow the T at hand, if row m is the first of
// its pass. In small portions: a memory that is asked for a hundred lines at once makes all else
// wait.
template <int T>
[[gnu::always_inline]] inline void PrefetchNext(const std::byte* p, size_t tile_bytes,
                                                int64_t bytes, int64_t m) {
  if (m % kPassRows != 0) return;
#pragma GCC unroll 2
  for (int t = 0; t < T; ++t) Prefetch(p + (T + t) * tile_bytes, bytes);
}

// The results of R rows and T tiles from t0 on, of a matrix with n outputs.
template <int R, int T>
inline void Store(const __m512 acc[R][T], int64_t n, int64_t t0, float* out, int64_t out_stride) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      const int64_t first = (t0 + t) * kTileRows;
      _mm512_mask_storeu_ps(out + r * out_stride + first, First(n - first), Canonical(acc[r][t]));
    }
  }
}

// out = w x for plain weights; Multiply does R rows of x from m on times T tiles from t0 on. At
// most kRows and kTiles, as the registers allow.
template <typename Element>
struct PlainProduct {
  static constexpr int kRows = 6;
  static constexpr int kTiles = 2;
  PackedRows w;
  const float* x;
  float* out;
  int64_t out_stride;

  template <int R, int T>
  void Multiply(int64_t t0, int64_t m) const {
    constexpr int kStepBytes = Element::kBytes * kTileRows;
    const size_t tile_bytes = (w.cols * kStepBytes + 63) / 64 * 64;
    const std::byte* tile[T];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) tile[t] = w.tiles + (t0 + t) * tile_bytes;
    __m512 acc[R][T] = {};
    const float* column = x + m * w.cols;
    for (int64_t k = 0; k < w.cols; ++k) {
      __m512 v[T];
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        v[t] = Element::Load(tile[t]);
        if (m % kPassRows == 0) Prefetch(tile[t] + T * tile_bytes, kStepBytes);
        tile[t] += kStepBytes;
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const __m512 xk = Broadcast(column + k + r * w.cols);
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) {
          acc[r][t] = _mm512_add_ps(acc[r][t], _mm512_mul_ps(v[t], xk));
        }
      }
    }
    Store<R, T>(acc, w.rows, t0, out + m * out_stride, out_stride);
  }
};

// Adds to the dots of R rows and T tiles the products of kGroups groups of codes, which
// load(tile, group) gives, and four activations each. The empty statement keeps the order: GCC
// would otherwise load all codes first and spill sums.
template <int R, int T, int kGroups, typename LoadGroup>
inline void AddDots(const LoadGroup& load, const int8_t* q, int64_t q_stride, __m512i dot[R][T]) {
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    __m512i v[T];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) v[t] = load(t, g);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i four = BroadcastFour(q + r * q_stride + g * 4);
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        dot[r][t] = _mm512_dpbusd_epi32(dot[r][t], v[t], four);
        asm("" : "+v"(dot[r][t]));
      }
    }
  }
}

// Likewise for Q8_0. Its codes become unsigned, and dots start from what that adds.
struct Q8_0Product {
  static constexpr int kRows = 6;
  static constexpr int kTiles = 2;
  PackedRows w;
  QuantizedRows x;
  float* out;
  int64_t out_stride;

  template <int R, int T>
  void Multiply(int64_t t0, int64_t m) const {
    constexpr int64_t kBlockBytes = kQuantBlock * kTileRows;
    const int64_t blocks = w.cols / kQuantBlock;
    const size_t tile_bytes = TileBytes(Packing::kQ8_0, w.cols);
    const std::byte* tile = w.tiles + t0 * tile_bytes;
    const std::byte* tile_scales = tile + blocks * kBlockBytes;
    const int8_t* values = x.values + m * w.cols;
    const float* scales = x.scales + m * blocks;
    const int32_t* offset = x.offset + m * blocks;
    __m512 acc[R][T] = {};
    for (int64_t b = 0; b < blocks; ++b) {
      const std::byte* block = tile + b * kBlockBytes;
      PrefetchNext<T>(block, tile_bytes, kBlockBytes, m);
      __m512i dot[R][T];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const __m512i start = _mm512_set1_epi32(offset[r * blocks + b]);
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) dot[r][t] = start;
      }
      const auto load = [&](int t, int g) {
        const __m512i codes = _mm512_loadu_si512(block + t * tile_bytes + g * 64);
        return _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
      };
      AddDots<R, T, 8>(load, values + b * kQuantBlock, w.cols, dot);
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        const __m512 d = F16::Load(tile_scales + t * tile_bytes + b * kTileRows * 2);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const __m512 scale = _mm512_mul_ps(d, Broadcast(scales + r * blocks + b));
          const __m512 term = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[r][t]), scale);
          acc[r][t] = _mm512_add_ps(acc[r][t], term);
        }
      }
    }
    Store<R, T>(acc, w.rows, t0, out + m * out_stride, out_stride);
  }
};

// Likewise for the Int formats. What costs more to unpack is unpacked for more rows at once.
template <Packing kPacking>
struct SuperProduct {
  static constexpr SuperLayout kLayout = LayoutOf(kPacking);
  static constexpr int kTiles = kLayout.high_bits == 0 ? 2 : 1;
  static constexpr int kRows = 8 / kTiles;
  PackedRows w;
  SuperRows x;
  float* out;
  int64_t out_stride;

  // Int4's dots start from their codes' offset times the activations, so that they fit 16 bits.
  // `sums` are the two of a sub-block.
  static __m512i Start(const int16_t* sums) {
    if (kPacking != Packing::kInt4) return _mm512_setzero_si512();
    return _mm512_set1_epi32(-kLayout.offset * (sums[0] + sums[1]));
  }

  // total + n * dot. The upper halves of Int4's n are zero.
  static __m512i AddMultiple(__m512i total, __m512i dot, __m512i n) {
    if (kPacking == Packing::kInt4) return _mm512_dpwssd_epi32(total, dot, n);
    return _mm512_add_epi32(total, _mm512_mullo_epi32(dot, n));
  }

  static __m512i LoadMultipliers(const std::byte* superblock, int index) {
    const std::byte* at = superblock + kLayout.multipliers_at() + index * kTileRows;
    const __m512i n = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    if (kPacking == Packing::kInt4) return _mm512_and_si512(n, _mm512_set1_epi32(0xffff));
    return n;
  }

  // Adds t of activation block c, whose superblock `superblock` points at in the first tile.
  template <int R, int T>
  void SumCodes(const std::byte* superblock, size_t tile_bytes, int64_t c, int64_t m,
                __m512i total[R][T]) const {
    constexpr int kSubBlocks = kActivationBlock / kQuantBlock;
    constexpr int kParts = kQuantBlock / kLayout.multiplier_elements;  // of a sub-block
    constexpr int kGroups = kLayout.multiplier_elements / 4;
    constexpr int64_t kPortion = kLayout.bytes() / (kSuperblock / kQuantBlock);
    const int64_t blocks = x.blocks();
    const int16_t* sums = x.sums + (m * blocks + c) * kSubBlocks * 2;
    const int8_t* values = x.values + m * x.stride() + c * kActivationBlock;
    const int first = static_cast<int>(c * kSubBlocks % (kSuperblock / kQuantBlock));
    for (int b = 0; b < kSubBlocks; ++b) {
      PrefetchNext<T>(superblock + (first + b) * kPortion, tile_bytes, kPortion, m);
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) {
        const int i = b * kParts + part;
        __m512i dot[R][T];
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const __m512i start = Start(sums + (r * blocks * kSubBlocks + b) * 2);
#pragma GCC unroll 2
          for (int t = 0; t < T; ++t) dot[r][t] = start;
        }
        const auto load = [&](int t, int g) {
          return LoadCodes<kPacking>(superblock + t * tile_bytes, first + b, part * kGroups + g);
        };
        AddDots<R, T, kGroups>(load, values + i * kGroups * 4, x.stride(), dot);
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) {
          const __m512i n = LoadMultipliers(superblock + t * tile_bytes, first * kParts + i);
#pragma GCC unroll 16
          for (int r = 0; r < R; ++r) total[r][t] = AddMultiple(total[r][t], dot[r][t], n);
        }
      }
    }
  }

  // Adds numbers that kShare activations of block c share, times the sum of these. load(tile, i)
  // gives two of them in 16 bits: 2i and 2i + 1 of the superblock.
  template <int kShare, int R, int T, typename LoadPair>
  void AddPairs(const LoadPair& load, int64_t c, int64_t m, __m512i total[R][T]) const {
    constexpr int kPairs = kActivationBlock / kShare / 2;
    const int first = static_cast<int>(c * kPairs % (kSuperblock / kShare / 2));
    __m512i n[T][kPairs];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int i = 0; i < kPairs; ++i) n[t][i] = load(t, first + i);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      __m512i sums[kPairs];
      BroadcastSums<kShare>(x.sums + ((m + r) * x.blocks() + c) * (kActivationBlock / 16), sums);
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
        for (int i = 0; i < kPairs; ++i) {
          total[r][t] = _mm512_dpwssd_epi32(total[r][t], n[t][i], sums[i]);
        }
      }
    }
  }

  // Takes back what the codes' offset adds to t.
  template <int R, int T>
  void SubtractOffset(const std::byte* superblock, size_t tile_bytes, int64_t c, int64_t m,
                      __m512i total[R][T]) const {
    const auto load = [&](int t, int i) {
      const std::byte* at =
          superblock + t * tile_bytes + kLayout.multipliers_at() + i * 2 * kTileRows;
      const __m512i n = WidenPairs(at, at + kTileRows);
      return _mm512_mullo_epi16(n, _mm512_set1_epi16(static_cast<int16_t>(-kLayout.offset)));
    };
    AddPairs<kLayout.multiplier_elements, R, T>(load, c, m, total);
  }

  // Adds u likewise.
  template <int R, int T>
  void SumMinima(const std::byte* superblock, size_t tile_bytes, int64_t c, int64_t m,
                 __m512i total[R][T]) const {
    const auto load = [&](int t, int i) {
      return Widen8To16(superblock + t * tile_bytes + kLayout.minima_at() + i * 2 * kTileRows);
    };
    AddPairs<kQuantBlock, R, T>(load, c, m, total);
  }

  template <int R, int T>
  void Multiply(int64_t t0, int64_t m) const {
    const int64_t superblocks = Superblocks(w.cols);
    const int64_t blocks = x.blocks();
    const size_t tile_bytes = TileBytes(kPacking, w.cols);
    const std::byte* tile = w.tiles + t0 * tile_bytes;
    const std::byte* tile_scales = tile + superblocks * kLayout.bytes();
    __m512 acc[R][T] = {};
    for (int64_t c = 0; c < blocks; ++c) {
      const int64_t s = c * kActivationBlock / kSuperblock;
      const std::byte* superblock = tile + s * kLayout.bytes();
      __m512i codes[R][T] = {};
      __m512i minima[R][T] = {};
      if constexpr (kLayout.offset != 0 && kPacking != Packing::kInt4) {
        SubtractOffset<R, T>(superblock, tile_bytes, c, m, codes);
      }
      SumCodes<R, T>(superblock, tile_bytes, c, m, codes);
      if constexpr (kLayout.minima) SumMinima<R, T>(superblock, tile_bytes, c, m, minima);
      const float* d = x.scales + m * blocks + c;
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        const std::byte* scale_at = tile_scales + t * tile_bytes + s * 2 * kTileRows;
        const __m512 scale = F16::Load(scale_at);
        __m512 minimum_scale = _mm512_setzero_ps();
        if (kLayout.minima) minimum_scale = F16::Load(scale_at + superblocks * 2 * kTileRows);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(codes[r][t]), scale);
          if constexpr (kLayout.minima) {
            const __m512 u = _mm512_cvtepi32_ps(minima[r][t]);
            sum = _mm512_add_ps(sum, _mm512_mul_ps(u, minimum_scale));
          }
          acc[r][t] = _mm512_add_ps(acc[r][t], _mm512_mul_ps(sum, Broadcast(d + r * blocks)));
        }
      }
    }
    Store<R, T>(acc, w.rows, t0, out + m * out_stride, out_stride);
  }
};

// Every tile times every row.
template <typename Product>
void MultiplyAll(const Product& product, int64_t rows) {
  constexpr int R = Product::kRows, T = Product::kTiles;
  const int64_t tiles = (product.w.rows + kTileRows - 1) / kTileRows;
  for (int64_t first = 0; first < rows; first += kPassRows) {
    const int64_t end = first + kPassRows < rows ? first + kPassRows : rows;
    int64_t t = 0;
    for (; t + 2 <= tiles; t += 2) {
      int64_t m = first;
      for (; m + R <= end; m += R) {
        for (int i = 0; i < 2; i += T) product.template Multiply<R, T>(t + i, m);
      }
      for (; m + 4 <= end; m += 4) product.template Multiply<4, 2>(t, m);
      for (; m + 2 <= end; m += 2) product.template Multiply<2, 2>(t, m);
      for (; m < end; ++m) product.template Multiply<1, 2>(t, m);
    }
    if (t == tiles) continue;
    int64_t m = first;
    for (; m + 4 <= end; m += 4) product.template Multiply<4, 1>(t, m);
    for (; m < end; ++m) product.template Multiply<1, 1>(t, m);
  }
}

}  // namespace

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
  MultiplyAll(Q8_0Product{w, x, out, out_stride}, x.rows);
}

void MatMulInt4(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MultiplyAll(SuperProduct<Packing::kInt4>{w, x, out, out_stride}, x.rows);
}

void MatMulInt4Min(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MultiplyAll(SuperProduct<Packing::kInt4Min>{w, x, out, out_stride}, x.rows);
}

void MatMulInt5(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MultiplyAll(SuperProduct<Packing::kInt5>{w, x, out, out_stride}, x.rows);
}

void MatMulInt5Min(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MultiplyAll(SuperProduct<Packing::kInt5Min>{w, x, out, out_stride}, x.rows);
}

void MatMulInt6(const PackedRows& w, const SuperRows& x, float* out, int64_t out_stride) {
  MultiplyAll(SuperProduct<Packing::kInt6>{w, x, out, out_stride}, x.rows);
}

}  // namespace hearth::kernels::avx512vnni

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
