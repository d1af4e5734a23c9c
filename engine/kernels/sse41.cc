// SSSE3 and SSE4.1: Penryn, Bulldozer and later. Inside the target region: intrinsics only.
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/kernels/declarations.h"
#include "engine/tensor/detmath.h"
#include "engine/tensor/float16.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("ssse3,sse4.1"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("ssse3,sse4.1")
#endif

namespace hearth::kernels::sse41 {
namespace {

// Vectors of four lanes; vector256.inc states what each function is.
using Float = __m128;
using Int = __m128i;
constexpr int kLanes = 4;
constexpr int kVectors = 16 / kLanes;
constexpr int kRegisters = 16;

struct Lanes {  // the sixteen lanes of kernels.h
  Float v[kVectors];
};

inline Float Set1(float x) { return _mm_set1_ps(x); }
inline Float Broadcast(const float* p) { return _mm_set1_ps(*p); }
inline void Store(float* p, Float v) { _mm_storeu_ps(p, v); }
inline Float Max(Float a, Float b) { return _mm_max_ps(a, b); }
inline Float Min(Float a, Float b) { return _mm_min_ps(a, b); }
inline Float Xor(Float a, Float b) { return _mm_xor_ps(a, b); }

inline Float IsNan(Float v) { return _mm_cmpunord_ps(v, v); }
inline Float Less(Float a, Float b) { return _mm_cmplt_ps(a, b); }
inline Float LessOrEqual(Float a, Float b) { return _mm_cmple_ps(a, b); }
inline Float Select(Float mask, Float yes, Float no) { return _mm_blendv_ps(no, yes, mask); }

inline Int Bits(Float v) { return _mm_castps_si128(v); }
inline Float FromBits(Int v) { return _mm_castsi128_ps(v); }

inline Float First(int64_t n) {
  const int count = n > kLanes ? kLanes : static_cast<int>(n);
  return FromBits(_mm_cmpgt_epi32(_mm_set1_epi32(count), _mm_setr_epi32(0, 1, 2, 3)));
}

inline void StoreFirst(float* p, int64_t n, Float v) {
  if (n >= kLanes) return Store(p, v);
  if (n <= 0) return;
  if (n >= 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), v);
    v = _mm_movehl_ps(v, v);
    p += 2;
  }
  if (n != 2) _mm_store_ss(p, v);
}

inline Float ToFloat(Int v) { return _mm_cvtepi32_ps(v); }
inline Int ToNearestInt(Float v) {
  return _mm_cvttps_epi32(_mm_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

inline Int LoadInt(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline Int Set1Int8(int8_t x) { return _mm_set1_epi8(x); }
inline Int Set1Int16(int16_t x) { return _mm_set1_epi16(x); }
inline Int Set1Int32(int32_t x) { return _mm_set1_epi32(x); }
inline Int Set1Int64(int64_t x) { return _mm_set1_epi64x(x); }
inline Int And(Int a, Int b) { return _mm_and_si128(a, b); }
inline Int Or(Int a, Int b) { return _mm_or_si128(a, b); }
inline Int Xor(Int a, Int b) { return _mm_xor_si128(a, b); }
inline Int ShiftLeft32(Int v, int count) { return _mm_slli_epi32(v, count); }
inline Int ShiftRight32(Int v, int count) { return _mm_srli_epi32(v, count); }
inline Int ShiftRight16(Int v, int count) { return _mm_srli_epi16(v, count); }
inline Int Add16(Int a, Int b) { return _mm_add_epi16(a, b); }
inline Int Add32(Int a, Int b) { return _mm_add_epi32(a, b); }
inline Int Multiply16(Int a, Int b) { return _mm_mullo_epi16(a, b); }
inline Int Multiply32(Int a, Int b) { return _mm_mullo_epi32(a, b); }
inline Int MaxUnsigned32(Int a, Int b) { return _mm_max_epu32(a, b); }
inline Int Abs8(Int v) { return _mm_abs_epi8(v); }
inline Int Sign8(Int v, Int sign) { return _mm_sign_epi8(v, sign); }
inline Int MultiplyAdd8(Int a, Int b) { return _mm_maddubs_epi16(a, b); }
inline Int MultiplyAdd16(Int a, Int b) { return _mm_madd_epi16(a, b); }

inline Int LoadFourBytes(const void* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm_cvtsi32_si128(four);
}
inline Int LoadEightBytes(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
inline Int Widen8To32(const void* p) { return _mm_cvtepi8_epi32(LoadFourBytes(p)); }
inline Int Widen8To16(const void* p) { return _mm_cvtepi8_epi16(LoadEightBytes(p)); }
inline Int WidenPairs(const void* even, const void* odd) {
  return _mm_cvtepi8_epi16(_mm_unpacklo_epi8(LoadFourBytes(even), LoadFourBytes(odd)));
}

struct F32 {
  static constexpr int kBytes = 4;
  static Float Load(const void* p) { return _mm_loadu_ps(static_cast<const float*>(p)); }
};
struct F16 {
  static constexpr int kBytes = 2;
  static Float Load(const void* p) {
    const Int h = _mm_cvtepu16_epi32(LoadEightBytes(p));
    const Int magnitude = ShiftLeft32(And(h, Set1Int32(0x7fff)), 13);
    const Int exponent_shift = Set1Int32(112 << 23);  // between the two formats' biases
    // Infinities and NaN have the largest exponent in both formats.
    const Int largest = _mm_cmpgt_epi32(magnitude, Set1Int32((31 << 23) - 1));
    Int bits = Add32(magnitude, exponent_shift);
    bits = Add32(bits, And(largest, exponent_shift));
    // Subnormals: the mantissa under the least normal number's exponent, less that number.
    const Float least = FromBits(Set1Int32(113 << 23));
    const Float subnormal = FromBits(Or(magnitude, Bits(least))) - least;
    const Int is_subnormal = _mm_cmplt_epi32(magnitude, Set1Int32(1 << 23));
    const Float value = Select(FromBits(is_subnormal), subnormal, FromBits(bits));
    return _mm_or_ps(value, FromBits(ShiftLeft32(And(h, Set1Int32(0x8000)), 16)));
  }
};
struct BF16 {
  static constexpr int kBytes = 2;
  static Float Load(const void* p) {
    return FromBits(ShiftLeft32(_mm_cvtepu16_epi32(LoadEightBytes(p)), 16));
  }
};
inline float F16Value(uint16_t h) { return F16ToF32(h); }

inline __m128 SumToFour(const Lanes& lanes) {
  return (lanes.v[0] + lanes.v[2]) + (lanes.v[1] + lanes.v[3]);
}
inline __m128 MaxToFour(const Lanes& lanes) {
  return Max(Max(lanes.v[0], lanes.v[2]), Max(lanes.v[1], lanes.v[3]));
}
inline uint32_t LargestUnsigned32(Int v) {
  v = _mm_max_epu32(v, _mm_shuffle_epi32(v, 0x4e));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epu32(v, _mm_shuffle_epi32(v, 0xb1))));
}

using Bytes = __m128i;
inline Bytes PackBytes(const Int v[kVectors]) {
  return _mm_packs_epi16(_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]));
}

inline void StoreWords(int16_t* p, Int v) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(v, v));
}

inline Float Twice(Float v) { return _mm_unpacklo_ps(v, v); }
inline Float SwapPairs(Float v) { return _mm_shuffle_ps(v, v, 0xb1); }
inline Float SubtractAdd(Float a, Float b) { return _mm_addsub_ps(a, b); }

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

}  // namespace hearth::kernels::sse41

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
