// AVX2 and F16C: Haswell, Zen and later. Inside the target region: intrinsics only.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/detmath.h"
#include "engine/tensor/float16.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif

namespace hearth::kernels::avx2 {

#include "engine/kernels/vector256.inc"

namespace {

constexpr bool kVnni = false;
inline Int DotBytes(Int sum, Int a, Int b) {
  return Add32(sum, MultiplyAdd16(MultiplyAdd8(a, b), Set1Int16(1)));
}
inline Int DotWords(Int sum, Int a, Int b) { return Add32(sum, MultiplyAdd16(a, b)); }

}  // namespace

#include "engine/kernels/dots_x86.inc"
#include "engine/kernels/quantized_products.inc"
#include "engine/kernels/quantized_qk_pv.inc"
#include "engine/kernels/vector_kernels.inc"
#include "engine/kernels/vector_products.inc"

void NarrowKv(const float* x, int64_t head_dim, uint16_t* values) {
  for (int64_t i = 0; i < head_dim; i += 8) {
    const int64_t n = head_dim - i;
    const __m128i v = _mm256_cvtps_ph(LoadFirst<F32>(n, x + i), _MM_FROUND_TO_NEAREST_INT);
    __builtin_memcpy(values + i, &v, n < 8 ? n * 2 : 16);
  }
}

}  // namespace hearth::kernels::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
