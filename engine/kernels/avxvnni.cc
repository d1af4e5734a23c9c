// AVX-VNNI, with AVX2 and F16C: Alder Lake, Zen 5 and later. Products only; avx2.cc has the rest.
// Inside the target region: intrinsics only. tests/kernels/avxvnni_evex.cc is the same for CPUs
// that have these two instructions in AVX-512's encoding.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c,avxvnni")
#endif

namespace hearth::kernels::avxvnni {

#include "engine/kernels/vector256.inc"

namespace {

constexpr bool kVnni = true;
inline Int DotBytes(Int sum, Int a, Int b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
inline Int DotWords(Int sum, Int a, Int b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }

}  // namespace

#include "engine/kernels/dots_x86.inc"
#include "engine/kernels/quantized_products.inc"
#include "engine/kernels/quantized_qk_pv.inc"

}  // namespace hearth::kernels::avxvnni

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
