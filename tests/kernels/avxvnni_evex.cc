// engine/kernels/avxvnni.cc with its two instructions in AVX-512's encoding: what CPUs without
// AVX-VNNI can try its code with.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/kernels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c,avx512f,avx512vl,avx512vnni"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c,avx512f,avx512vl,avx512vnni")
#endif

namespace hearth::kernels::avxvnni_evex {

#include "engine/kernels/vector256.inc"

namespace {

constexpr bool kVnni = true;
inline Int DotBytes(Int sum, Int a, Int b) { return _mm256_dpbusd_epi32(sum, a, b); }
inline Int DotWords(Int sum, Int a, Int b) { return _mm256_dpwssd_epi32(sum, a, b); }

}  // namespace

#include "engine/kernels/dots_x86.inc"
#include "engine/kernels/quantized_products.inc"
#include "engine/kernels/quantized_qk_pv.inc"

}  // namespace hearth::kernels::avxvnni_evex

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
