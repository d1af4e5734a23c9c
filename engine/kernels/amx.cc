// AMX-INT8, with AVX-512 VNNI: Sapphire Rapids and later. Products of the Int formats with many
// rows; Q8_0's float step per 32 k would cost more than tiles save. Inside the target region:
// intrinsics and AMX instructions only. These are written as assembly, for GCC's macros take no
// template parameter as a register's number, and its _tile_loadconfig reads but 8 of 64 bytes.
// tests/kernels/amx_emulated.cc runs the same code on tiles made of memory.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                  \
    __attribute__((                                                                            \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c,amx-tile,amx-int8"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c,amx-tile,amx-int8")
// GCC 12 takes its own _mm512_undefined_* for mistakes of ours (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hearth::kernels::amx {

#include "engine/kernels/vector512.inc"

namespace {

template <typename Shapes>
inline void ShapeTiles(const Shapes& shapes) {
  static_assert(sizeof(shapes) == 64);
  asm volatile("ldtilecfg %0" ::"m"(shapes));
}

inline void ReleaseTiles() { asm volatile("tilerelease"); }

template <int T>
inline void LoadTile(const void* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(T) : "memory");
}

template <int T>
inline void StoreTile(void* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(T) : "memory");
}

template <int T>
inline void ClearTile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(T));
}

template <int C, int A, int B>
inline void MultiplyTiles() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

}  // namespace

#include "engine/kernels/tile_products.inc"

}  // namespace hearth::kernels::amx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
