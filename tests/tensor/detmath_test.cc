#include "engine/tensor/detmath.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/emulated.h"

namespace hearth::detmath {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kInfDouble = std::numeric_limits<double>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Distance of `got` from the exact value, in units of the last place of f32.
double UlpError(float got, double exact) {
  const float nearest = static_cast<float>(exact);
  int exponent = 0;
  std::frexp(nearest, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(static_cast<double>(got) - exact) / ulp;
}

float Next(float x, float towards) { return std::nextafter(x, towards); }

// From one float to the next that is tried: all exponents and many mantissas.
constexpr uint32_t kStride = kEmulated ? 2003 : 61;

TEST(DetmathTest, ExpFloatIsWithinTwoUlpEverywhere) {
  double worst = 0;
  float worst_at = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += kStride) {  // of both signs
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(x >= expf::kMin && x <= expf::kMax)) continue;
    const double error = UlpError(Exp(x), std::exp(static_cast<double>(x)));
    if (error > worst) worst = error, worst_at = x;
  }
  EXPECT_LT(worst, 2.0) << "at " << worst_at;
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST(DetmathTest, ExpFloatAtItsLimits) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(std::numeric_limits<float>::denorm_min()), 1.0f);
  EXPECT_EQ(Exp(Next(expf::kMin, -kInf)), 0.0f);
  EXPECT_GE(Exp(expf::kMin), std::numeric_limits<float>::min());
  EXPECT_TRUE(std::isfinite(Exp(expf::kMax)));
  EXPECT_EQ(Exp(Next(expf::kMax, kInf)), kInf);
  EXPECT_GT(static_cast<double>(Next(expf::kMax, kInf)),
            std::log(static_cast<double>(std::numeric_limits<float>::max())));
  for (float x : {-kInf, std::numeric_limits<float>::lowest(), -1e6f, -100.0f}) {
    EXPECT_EQ(Exp(x), 0.0f) << x;
    EXPECT_FALSE(std::signbit(Exp(x))) << x;
  }
  for (float x : {kInf, std::numeric_limits<float>::max(), 1e6f, 100.0f}) EXPECT_EQ(Exp(x), kInf);
  for (uint32_t nan : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu, 0x7fc000ffu}) {
    EXPECT_TRUE(std::isnan(Exp(std::bit_cast<float>(nan)))) << nan;
  }
}

TEST(DetmathTest, ExpFloatDoesNotDecreaseBeyondItsError) {
  float previous = 0;
  for (float x = -88.0f; x < 88.7f; x += 0.00097f) {
    const float y = Exp(x);
    EXPECT_GE(y, previous) << x;
    previous = y;
  }
}

// The bits are part of the engine's contract: a change here changes replies.
TEST(DetmathTest, ExpFloatBitsAreFixed) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (float x = -90.0f; x < 90.0f; x += 0.03125f) {
    hash = (hash ^ std::bit_cast<uint32_t>(Exp(x))) * 0x100000001b3u;
  }
  EXPECT_EQ(hash, 0x45e56e2a23d0cceeu);
}

TEST(DetmathTest, LogFloatIsWithinOneUlpEverywhere) {
  double worst = 0;
  float worst_at = 0;
  for (uint32_t bits = 1; bits < 0x7f800000u; bits += kStride) {
    const float x = std::bit_cast<float>(bits);
    const double error = UlpError(Log(x), std::log(static_cast<double>(x)));
    if (error > worst) worst = error, worst_at = x;
  }
  EXPECT_LT(worst, 1.0) << "at " << worst_at;
}

TEST(DetmathTest, LogAtItsLimits) {
  EXPECT_EQ(Log(1.0f), 0.0f);
  EXPECT_EQ(Log(0.0f), -kInf);
  EXPECT_EQ(Log(-0.0f), -kInf);
  EXPECT_EQ(Log(kInf), kInf);
  EXPECT_TRUE(std::isnan(Log(-1.0f)));
  EXPECT_TRUE(std::isnan(Log(-kInf)));
  EXPECT_TRUE(std::isnan(Log(kNan)));
  EXPECT_EQ(Log(1.0), 0.0);
  EXPECT_EQ(Log(0.0), -kInfDouble);
  EXPECT_NEAR(Log(5e-324), std::log(5e-324), 1e-10);
  EXPECT_NEAR(Log(1.7e308), std::log(1.7e308), 1e-10);
}

double RelativeError(double got, double exact) {
  return exact == 0 ? std::abs(got) : std::abs(got - exact) / std::abs(exact);
}

TEST(DetmathTest, DoubleExpIsWithin1e13) {
  double worst = 0;
  for (double x = -700; x <= 700; x += 0.000731) {
    worst = std::max(worst, RelativeError(Exp(x), std::exp(x)));
  }
  EXPECT_LT(worst, 1e-13);
  EXPECT_EQ(Exp(0.0), 1.0);
  EXPECT_EQ(Exp(1000.0), kInfDouble);
  EXPECT_EQ(Exp(-1000.0), 0.0);
  EXPECT_EQ(Exp(kInfDouble), kInfDouble);
  EXPECT_EQ(Exp(-kInfDouble), 0.0);
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<double>::quiet_NaN())));
}

TEST(DetmathTest, DoubleLogIsWithin1e13) {
  double worst = 0;
  for (double x = 1e-300; x < 1e300; x *= 1.00037) {
    worst = std::max(worst, RelativeError(Log(x), std::log(x)));
  }
  for (double x = 0.4; x < 2.5; x += 1e-6) {  // where the result passes 0
    worst = std::max(worst, RelativeError(Log(x), std::log(x)));
  }
  for (double d = 1e-16; d < 0.1; d *= 1.1) {
    worst = std::max(worst, RelativeError(Log(1 + d), std::log(1 + d)));
    worst = std::max(worst, RelativeError(Log(1 - d), std::log(1 - d)));
  }
  EXPECT_LT(worst, 1e-13);
}

TEST(DetmathTest, SinCosIsWithin1e13) {
  double worst = 0;
  const auto check = [&](double x) {
    double s, c;
    SinCos(x, &s, &c);
    worst = std::max({worst, std::abs(s - std::sin(x)), std::abs(c - std::cos(x))});
  };
  for (double x = -20; x < 20; x += 0.000037) check(x);
  for (double x = -0x1p22; x <= 0x1p22; x += 7.3337) check(x);
  for (int n = 0; n < 2600000; n += 13) check(n * 1.5707963267948966);  // the hardest: near zeros
  check(0x1p22);
  check(-0x1p22);
  EXPECT_LT(worst, 1e-13);
  double s, c;
  SinCos(0.0, &s, &c);
  EXPECT_EQ(s, 0.0);
  EXPECT_EQ(c, 1.0);
  for (double x : {0x1p23, -kInfDouble, std::numeric_limits<double>::quiet_NaN()}) {
    SinCos(x, &s, &c);
    EXPECT_TRUE(std::isnan(s) && std::isnan(c)) << x;
  }
}

// theta^(-2i/dims) as a RoPE table computes it.
TEST(DetmathTest, RopeFrequenciesEqualTheGoldens) {
  std::ifstream file(HEARTH_SHARED_DATA "/golden/rope_goldens.json");
  if (!file) GTEST_SKIP() << "no rope_goldens.json under " HEARTH_SHARED_DATA;
  const nlohmann::json goldens = nlohmann::json::parse(file);
  const auto check = [](const std::vector<double>& expected, double theta) {
    ASSERT_FALSE(expected.empty());
    for (size_t i = 0; i < expected.size(); ++i) {
      const double exponent = static_cast<double>(i) / static_cast<double>(expected.size());
      EXPECT_LT(RelativeError(Exp(-exponent * Log(theta)), expected[i]), 1e-13) << i;
    }
  };
  check(goldens["phi4_mini"]["inv_freq_short"], 10000.0);
  check(goldens["llama32_1b_hd64"]["inv_freq_base"], 500000.0);
  check(goldens["llama32_3b_hd128"]["inv_freq_base"], 500000.0);
}

}  // namespace
}  // namespace hearth::detmath
