// AMX-INT8, beside AVX-512 VNNI: Sapphire Rapids and later. kernels.h states what is computed.
// Inside the target region: intrinsics only.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c,amx-tile,amx-int8"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c,amx-tile,amx-int8")
// GCC 12 takes its own _mm512_undefined_* for mistakes of ours (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hearth::kernels::amx {

#include "engine/kernels/vector512.inc"

// GCC 12 does not know that a configuration of more than eight bytes is read, nor that a tile is:
// without a barrier it may move or drop what writes them.
#define TILE_BARRIER(p) asm volatile("" : : "r"(p) : "memory")
#define TILE_CONFIGURE(config) \
  TILE_BARRIER(&config);       \
  _tile_loadconfig(&config)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) \
  TILE_BARRIER(from);              \
  _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_DOT(c, a, b) _tile_dpbssd(c, a, b)
#define FEW_ROWS(op) avx512vnni::op

#include "engine/kernels/tile_products.inc"

}  // namespace hearth::kernels::amx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
