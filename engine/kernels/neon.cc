// Advanced SIMD as every AArch64 CPU has it, Cortex-A53 and A72 among them.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/detmath.h"
#include "engine/tensor/float16.h"

namespace hearth::kernels::neon {

#include "engine/kernels/vector_neon.inc"

namespace {

constexpr int kDotRows = 2;
template <int R>
constexpr int kAcross = 4 / R;
constexpr int kKeyVectors = 2;
constexpr int kValueVectors = 1;

// Group kGroup of q in all lanes.
template <int kGroup>
inline int8x16_t Spread(int8x16_t q) {
  return vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(q), kGroup));
}

struct ByteDot {
  Int low;  // of the outputs' pairs of bytes
  Int high;

  static ByteDot From(int32_t start) {
    const Int first = vreinterpretq_s32_u64(vdupq_n_u64(static_cast<uint32_t>(start)));
    return {first, first};
  }
  template <int kGroup>
  void Add(int8x16_t bytes, int8x16_t q) {
    const int8x16_t four = Spread<kGroup>(q);
    low = vpadalq_s16(low, vmull_s8(vget_low_s8(bytes), vget_low_s8(four)));
    high = vpadalq_s16(high, vmull_high_s8(bytes, four));
  }
  Int Total() const { return vpaddq_s32(low, high); }
};

// In 16 bits: eight products of 31 and 127, or four of 63 and 127, fit.
struct CodeDot {
  int16x8_t low;
  int16x8_t high;
  Int start;

  static CodeDot From(int32_t start) {
    const int16x8_t zero = vdupq_n_s16(0);
    return {zero, zero, ByteDot::From(start).low};
  }
  template <int kGroup>
  void Add(int8x16_t codes, int8x16_t q) {
    const int8x16_t four = Spread<kGroup>(q);
    low = vmlal_s8(low, vget_low_s8(codes), vget_low_s8(four));
    high = vmlal_high_s8(high, codes, four);
  }
  Int Total() const { return vpaddq_s32(vpadalq_s16(start, low), vpadalq_s16(start, high)); }
};

}  // namespace

#include "engine/kernels/dots_neon.inc"

namespace {

using Q8_0Dots = RowQ8_0Dots;
template <Packing kPacking>
using SuperDots = RowSuperDots<kPacking>;

}  // namespace

#include "engine/kernels/quantized_products.inc"
#include "engine/kernels/quantized_qk_pv.inc"
#include "engine/kernels/vector_kernels.inc"
#include "engine/kernels/vector_products.inc"

void NarrowKv(const float* x, int64_t head_dim, uint16_t* values) {
  for (int64_t i = 0; i < head_dim; i += kLanes) {
    const int64_t n = head_dim - i;
    const float16x4_t v = vcvt_f16_f32(LoadFirst<F32>(n, x + i));
    __builtin_memcpy(values + i, &v, n < kLanes ? n * 2 : sizeof(v));
  }
}

int64_t Int8Peak(int64_t rounds) {
  return CountPeak(rounds, [](Int sum, int8x16_t ones) {
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(ones), vget_low_s8(ones)));
    return vpadalq_s16(sum, vmull_high_s8(ones, ones));
  });
}

}  // namespace hearth::kernels::neon

#endif  // defined(__aarch64__)
