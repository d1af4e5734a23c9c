// FEAT_DotProd (sdot): Cortex-A55, A76, Neoverse N1 and later. Products of bytes only; neon.cc has
// the rest. Inside the target region: intrinsics only.
#if defined(__aarch64__)

#if defined(__clang__) && __clang_major__ < 16
#error "Clang 16 is the first whose arm_neon.h has what the whole file's target lacks"
#endif

#include <arm_neon.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/float16.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

namespace hearth::kernels::neon_dotprod {

#include "engine/kernels/vector_neon.inc"

namespace {

constexpr int kDotRows = 4;
template <int R>
constexpr int kAcross = R == 4 ? 2 : 4;

}  // namespace

#include "engine/kernels/dot_sdot.inc"
#include "engine/kernels/dots_neon.inc"

namespace {

using Q8_0Dots = RowQ8_0Dots;
template <Packing kPacking>
using SuperDots = RowSuperDots<kPacking>;

}  // namespace

#include "engine/kernels/quantized_products.inc"
#include "engine/kernels/quantized_qk_pv.inc"

int64_t Int8Peak(int64_t rounds) {
  return CountPeak(rounds, [](Int sum, int8x16_t ones) { return vdotq_s32(sum, ones, ones); });
}

}  // namespace hearth::kernels::neon_dotprod

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__aarch64__)
