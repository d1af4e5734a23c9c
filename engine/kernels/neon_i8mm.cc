// FEAT_I8MM (smmla) beside FEAT_DotProd: Cortex-A510, A710, X2, Neoverse V1, N2 and later. Products
// of quantised weights only; neon_dotprod.cc and neon.cc have the rest. Inside the target region:
// intrinsics only.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/float16.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")
#endif

namespace hearth::kernels::neon_i8mm {

#include "engine/kernels/vector_neon.inc"

namespace {

// From kPairRows rows on they are taken in pairs, times all outputs of a tile: what putting pairs
// together costs is shared by these.
constexpr int kDotRows = 8;
constexpr int kPairRows = 4;
template <int R>
constexpr int kAcross = kVectors;

}  // namespace

#include "engine/kernels/dot_sdot.inc"
#include "engine/kernels/dots_neon.inc"

namespace {

inline Int ZipLow(Int a, Int b) {
  return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}
inline Int ZipHigh(Int a, Int b) {
  return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

// Sums of P pairs of rows and four outputs, as smmla has them: of row 2p and outputs 0 and 1, then
// of row 2p + 1 and these, in [p][0]; of outputs 2 and 3 in [p][1].
template <int P>
struct Squares {
  Int v[P][2];

  Int Row(int r) const {
    return r % 2 == 0 ? ZipLow(v[r / 2][0], v[r / 2][1]) : ZipHigh(v[r / 2][0], v[r / 2][1]);
  }

  // Adds eight k: of P pairs, and of the weights' two groups of four.
  void Add(const int8x16_t eight[P], int8x16_t group, int8x16_t next_group) {
    const Int a = vreinterpretq_s32_s8(group);
    const Int b = vreinterpretq_s32_s8(next_group);
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(a, b));
    const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(a, b));
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      v[p][0] = vmmlaq_s32(v[p][0], eight[p], low);
      v[p][1] = vmmlaq_s32(v[p][1], eight[p], high);
    }
  }
};

// kCount activations of 2P rows, `stride` bytes apart: eight k of one row of a pair, then of the
// other.
template <int P, int kCount>
struct Pairs {
  int8x16_t eights[kCount / 8][P];

  Pairs(const int8_t* values, int64_t stride) {
#pragma GCC unroll 2
    for (int k = 0; k < kCount; k += 16) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const Int a = vreinterpretq_s32_s8(LoadBytes(values + 2 * p * stride + k));
        const Int b = vreinterpretq_s32_s8(LoadBytes(values + (2 * p + 1) * stride + k));
        eights[k / 8][p] = vreinterpretq_s8_s32(ZipLow(a, b));
        eights[k / 8 + 1][p] = vreinterpretq_s8_s32(ZipHigh(a, b));
      }
    }
  }
};

struct Q8_0Dots {
  template <int R>
  static void Dots(const std::byte* codes_at, const QuantizedRows& x, int64_t m, int64_t b,
                   Int dot[R][kVectors]) {
    if constexpr (R < kPairRows) {
      RowQ8_0Dots::Dots<R>(codes_at, x, m, b, dot);
    } else {
      const Pairs<R / 2, kQuantBlock> pairs(x.values + m * x.cols + b * kQuantBlock, x.cols);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        Squares<R / 2> sum = {};
#pragma GCC unroll 4
        for (int i = 0; i < kQuantBlock / 8; ++i) {
          const std::byte* at = codes_at + i * 8 * kTileRows + v * 16;
          sum.Add(pairs.eights[i], LoadBytes(at), LoadBytes(at + 4 * kTileRows));
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) dot[r][v] = sum.Row(r);
      }
    }
  }
};

template <Packing kPacking>
struct SuperDots : RowSuperDots<kPacking> {
  using Rows = RowSuperDots<kPacking>;
  using Vector = SuperVector<kPacking>;
  static constexpr int kShare = Rows::kLayout.multiplier_elements;

  // Row 2p's part of what dots start from, twice, then row 2p + 1's: for each multiplier of an
  // activation block.
  template <int P>
  struct Starts {
    Int v[kActivationBlock / kShare][P];

    Starts(const SuperRows& x, int64_t m, int64_t c) {
      for (int i = 0; i < kActivationBlock / kShare; ++i) {
        const int64_t k = c * kActivationBlock + i * kShare;
        for (int p = 0; p < P; ++p) {
          v[i][p] = vcombine_s32(vdup_n_s32(Rows::Start(x, m + 2 * p, k)),
                                 vdup_n_s32(Rows::Start(x, m + 2 * p + 1, k)));
        }
      }
    }
  };

  template <int kHalf, int P>
  static void AddHalf(const Vector& vector, int b, const int8x16_t eights[2][P], Squares<P>& dot) {
    const uint8x16_t high = vector.template HighBits<kHalf>(b);
    dot.Add(eights[0], vector.template Codes<kHalf, 0>(b, high),
            vector.template Codes<kHalf, 1>(b, high));
    dot.Add(eights[1], vector.template Codes<kHalf, 2>(b, high),
            vector.template Codes<kHalf, 3>(b, high));
  }

  template <int P>
  static Squares<P> From(const Int start[P]) {
    Squares<P> dot;
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) dot.v[p][0] = dot.v[p][1] = start[p];
    return dot;
  }

  // Adds the dots times multiplier `index` of the superblock.
  template <int P>
  static void AddMultiple(const Vector& vector, int index, const Squares<P>& dot,
                          Squares<P>& total) {
    const Int n = vector.Multipliers(index);
    const Int low = ZipLow(n, n);
    const Int high = ZipHigh(n, n);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      total.v[p][0] = vmlaq_s32(total.v[p][0], dot.v[p][0], low);
      total.v[p][1] = vmlaq_s32(total.v[p][1], dot.v[p][1], high);
    }
  }

  template <int R>
  static void Codes(const std::byte* superblock, int v0, const SuperRows& x, int64_t m, int64_t c,
                    Int total[R][kVectors]) {
    if constexpr (R < kPairRows) {
      Rows::template Codes<R>(superblock, v0, x, m, c, total);
    } else {
      constexpr int P = R / 2;
      const Pairs<P, kActivationBlock> pairs(x.values + m * x.stride() + c * kActivationBlock,
                                             x.stride());
      const Starts<P> starts(x, m, c);
      const int first = static_cast<int>(c * Rows::kSubBlocks % (kSuperblock / kQuantBlock));
      for (int v = 0; v < kVectors; ++v) {
        const Vector vector(superblock, v);
        Squares<P> sum = {};
        for (int b = 0; b < Rows::kSubBlocks; ++b) {
          const auto* eights = pairs.eights + b * kQuantBlock / 8;
          const int index = b * kQuantBlock / kShare;
          const int first_index = first * kQuantBlock / kShare;
          Squares<P> dot = From<P>(starts.v[index]);
          AddHalf<0, P>(vector, first + b, eights, dot);
          if constexpr (Rows::kHalves) {
            AddMultiple(vector, first_index + index, dot, sum);
            dot = From<P>(starts.v[index + 1]);
          }
          AddHalf<1, P>(vector, first + b, eights + 2, dot);
          AddMultiple(vector, first_index + index + (Rows::kHalves ? 1 : 0), dot, sum);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) total[r][v] = sum.Row(r);
      }
    }
  }
};

}  // namespace

#include "engine/kernels/quantized_products.inc"

int64_t Int8Peak(int64_t rounds) {
  return CountPeak(rounds, [](Int sum, int8x16_t ones) { return vmmlaq_s32(sum, ones, ones); });
}

}  // namespace hearth::kernels::neon_i8mm

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__aarch64__)
