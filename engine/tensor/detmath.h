// Elementary functions with one result on every CPU: made of single IEEE 754 operations in a
// written order (libm picks variants by CPU feature, which differ in the last bit). The build
// forbids contraction. Vector kernels repeat Exp operation by operation.
#ifndef HEARTH_ENGINE_TENSOR_DETMATH_H_
#define HEARTH_ENGINE_TENSOR_DETMATH_H_

#include <bit>
#include <cstdint>
#include <limits>

namespace hearth::detmath {

// Constants of Exp(float). ln 2 is split so that n * kLn2Hi is exact for |n| <= 2^9.
namespace expf {
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kRound = 0x1.8p+23f;  // adding it rounds to the nearest even integer
inline constexpr float kLn2Hi = 0x1.62e4p-1f;
inline constexpr float kLn2Lo = 0x1.7f7d1cp-20f;
// e^r on |r| <= ln(2)/2, minimax with relative error 2^-28: 1 + r + r^2 (C2 + C3 r + ... C6 r^4).
inline constexpr float kC6 = 0x1.6a241ap-10f;
inline constexpr float kC5 = 0x1.1239f2p-7f;
inline constexpr float kC4 = 0x1.5558f2p-5f;
inline constexpr float kC3 = 0x1.555492p-3f;
inline constexpr float kC2 = 0x1.fffffcp-2f;
inline constexpr float kMin = -0x1.5d589ep+6f;  // below, e^x would not be a normal number
inline constexpr float kMax = 0x1.62e42ep+6f;   // above, e^x overflows
}  // namespace expf

// e^x in f32; within 2 ulp on [kMin, kMax], 0 below, +inf above, NaN for NaN. Every statement is
// one operation of the definition. There is no clamp: what lies outside the range computes
// garbage in the lanes that the two selects at the end replace.
inline float Exp(float x) {
  const float t = x * expf::kLog2E;
  const float z = t + expf::kRound;  // the low bits of z are n
  const float n = z - expf::kRound;
  const float hi = n * expf::kLn2Hi;
  const float lo = n * expf::kLn2Lo;
  float r = x - hi;
  r = r - lo;
  float p = expf::kC6;
  p = p * r;
  p = p + expf::kC5;
  p = p * r;
  p = p + expf::kC4;
  p = p * r;
  p = p + expf::kC3;
  p = p * r;
  p = p + expf::kC2;
  p = p * r;
  p = p + 1.0f;
  p = p * r;
  p = p + 1.0f;
  // 2^n, added to the exponent as integers: p < 1 where n = 128, so no lane in range overflows.
  const uint32_t bits = std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(z) << 23);
  float y = std::bit_cast<float>(bits);
  y = x < expf::kMin ? 0.0f : y;
  const float outside = x + std::numeric_limits<float>::infinity();  // +inf, or NaN for NaN
  return x <= expf::kMax ? y : outside;
}

// Natural logarithm in f32, computed in double; within 1 ulp for x > 0.
// -inf for 0, NaN below 0 and for NaN, +inf for +inf.
float Log(float x);

// Double functions, within 1e-13 relative (sine and cosine: absolute) on the ranges a RoPE table
// needs: |x| <= 700, x > 0, |x| <= 2^22. Outside these Exp gives 0 or +inf, Log answers as the f32
// one does, and SinCos gives NaN, for NaN too.
double Exp(double x);
double Log(double x);
void SinCos(double x, double* sine, double* cosine);

}  // namespace hearth::detmath

#endif  // HEARTH_ENGINE_TENSOR_DETMATH_H_
