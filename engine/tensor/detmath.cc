#include "engine/tensor/detmath.h"

#include <bit>
#include <cstdint>
#include <limits>

namespace hearth::detmath {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kRound = 0x1.8p+52;  // adding it rounds to the nearest even integer

constexpr double kLog2E = 0x1.71547652b82fep+0;
constexpr double kLn2Hi = 0x1.62e42fee00000p-1;  // 32 bits: n * kLn2Hi is exact
constexpr double kLn2Lo = 0x1.a39ef35793c76p-33;

// pi/2 in three parts, the first two of 30 bits: n * part is exact for |n| < 2^23.
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
constexpr double kHalfPi1 = 0x1.921fb54000000p+0;
constexpr double kHalfPi2 = 0x1.10b4611800000p-30;
constexpr double kHalfPi3 = 0x1.313198a2e0370p-61;

// Taylor series on |r| <= pi/4; the first term left out is below 1e-16.
double SinReduced(double r) {
  const double r2 = r * r;
  double p = -1.0 / 1307674368000.0;
  p = p * r2 + 1.0 / 6227020800.0;
  p = p * r2 - 1.0 / 39916800.0;
  p = p * r2 + 1.0 / 362880.0;
  p = p * r2 - 1.0 / 5040.0;
  p = p * r2 + 1.0 / 120.0;
  p = p * r2 - 1.0 / 6.0;
  return r + r * r2 * p;
}

double CosReduced(double r) {
  const double r2 = r * r;
  double p = 1.0 / 20922789888000.0;
  p = p * r2 - 1.0 / 87178291200.0;
  p = p * r2 + 1.0 / 479001600.0;
  p = p * r2 - 1.0 / 3628800.0;
  p = p * r2 + 1.0 / 40320.0;
  p = p * r2 - 1.0 / 720.0;
  p = p * r2 + 1.0 / 24.0;
  p = p * r2 - 0.5;
  return 1.0 + r2 * p;
}

}  // namespace

float Log(float x) { return static_cast<float>(Log(static_cast<double>(x))); }

double Exp(double x) {
  if (x != x) return x;
  if (x > 709.0) return kInfinity;
  if (x < -708.0) return 0.0;
  const double z = x * kLog2E + kRound;  // the low bits of z are n
  const double n = z - kRound;
  const double r = (x - n * kLn2Hi) - n * kLn2Lo;
  double p = 1.0 / 6227020800.0;  // Taylor series on |r| <= ln(2)/2
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(z) << 52));
}

double Log(double x) {
  if (x != x || x == kInfinity) return x;
  if (x < 0.0) return kNaN;
  if (x == 0.0) return -kInfinity;
  int64_t e = 0;
  if (x < std::numeric_limits<double>::min()) {  // subnormal
    x = x * 0x1p+54;
    e = -54;
  }
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const uint64_t mantissa = bits & 0x000fffffffffffffu;
  const bool upper = mantissa >= 0x6a09e667f3bcdu;
  e += static_cast<int64_t>(bits >> 52) - 1023 + (upper ? 1 : 0);
  const double m = std::bit_cast<double>(mantissa | (uint64_t{upper ? 1022u : 1023u} << 52));
  const double f = (m - 1.0) / (m + 1.0);  // log m = 2 atanh f
  const double f2 = f * f;
  double p = 1.0 / 23.0;
  for (double k = 21.0; k >= 3.0; k -= 2.0) p = p * f2 + 1.0 / k;
  const double log_m = 2.0 * f + 2.0 * f * f2 * p;
  const double n = static_cast<double>(e);
  return n * kLn2Hi + (log_m + n * kLn2Lo);
}

void SinCos(double x, double* sine, double* cosine) {
  if (!(x >= -0x1p+22 && x <= 0x1p+22)) {
    *sine = *cosine = kNaN;
    return;
  }
  const double z = x * kTwoOverPi + kRound;
  const double n = z - kRound;
  const double r = ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3;
  const double s = SinReduced(r);
  const double c = CosReduced(r);
  switch (std::bit_cast<uint64_t>(z) & 3) {  // the quadrant: n mod 4
    case 0:
      *sine = s;
      *cosine = c;
      break;
    case 1:
      *sine = c;
      *cosine = -s;
      break;
    case 2:
      *sine = -s;
      *cosine = -c;
      break;
    default:
      *sine = -c;
      *cosine = s;
      break;
  }
}

}  // namespace hearth::detmath
