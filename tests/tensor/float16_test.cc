#include "engine/tensor/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace hearth {
namespace {

// The value of a finite binary16 from its definition.
double F16Value(uint16_t h) {
  const int exponent = (h >> 10) & 0x1f;
  const int mantissa = h & 0x3ff;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (h & 0x8000) ? -magnitude : magnitude;
}

bool IsF16NaN(uint16_t h) { return (h & 0x7fff) > 0x7c00; }

TEST(Float16Test, EveryF16HasItsValue) {
  for (uint32_t i = 0; i <= 0xffff; ++i) {
    const uint16_t h = static_cast<uint16_t>(i);
    const float f = F16ToF32(h);
    EXPECT_EQ(std::signbit(f), (h & 0x8000) != 0) << i;
    if (IsF16NaN(h)) {
      EXPECT_TRUE(std::isnan(f)) << i;
      EXPECT_TRUE(std::bit_cast<uint32_t>(f) & 0x400000u) << "not quiet: " << i;
    } else if ((h & 0x7fff) == 0x7c00) {
      EXPECT_TRUE(std::isinf(f)) << i;
    } else {
      EXPECT_EQ(static_cast<double>(f), F16Value(h)) << i;
    }
  }
}

TEST(Float16Test, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t i = 0; i <= 0xffff; ++i) {
    const uint16_t h = static_cast<uint16_t>(i);
    const uint16_t expected = IsF16NaN(h) ? h | 0x0200 : h;  // NaN becomes quiet
    EXPECT_EQ(F32ToF16(F16ToF32(h)), expected) << i;
  }
}

// Between each pair of neighbours: just below, at and just above the halfway point.
TEST(Float16Test, F32ToF16RoundsToNearestEven) {
  for (uint32_t i = 0; i < 0x7bff; ++i) {
    const uint16_t low = static_cast<uint16_t>(i);
    const uint16_t high = static_cast<uint16_t>(i + 1);
    const float middle = static_cast<float>((F16Value(low) + F16Value(high)) / 2);  // exact
    const uint16_t even = (low & 1) ? high : low;
    EXPECT_EQ(F32ToF16(middle), even) << i;
    EXPECT_EQ(F32ToF16(-middle), even | 0x8000) << i;
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), low) << i;
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 1e9f)), high) << i;
  }
}

TEST(Float16Test, F32ToF16AtItsLimits) {
  EXPECT_EQ(F32ToF16(65504.0f), 0x7bff);
  EXPECT_EQ(F32ToF16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(-1e30f), 0xfc00);
  EXPECT_EQ(F32ToF16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(F32ToF16(0x1p-25f), 0);
  EXPECT_EQ(F32ToF16(std::nextafter(0x1p-25f, 1.0f)), 1);
  EXPECT_EQ(F32ToF16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(F32ToF16(-0.0f), 0x8000);
  EXPECT_TRUE(IsF16NaN(F32ToF16(std::bit_cast<float>(0x7f800001u))));
  EXPECT_TRUE(IsF16NaN(F32ToF16(std::bit_cast<float>(0xffffffffu))));
}

TEST(Float16Test, EveryBF16SurvivesTheRoundTrip) {
  for (uint32_t i = 0; i <= 0xffff; ++i) {
    const uint16_t h = static_cast<uint16_t>(i);
    const float f = BF16ToF32(h);
    EXPECT_EQ(std::bit_cast<uint32_t>(f), i << 16);
    const bool nan = (h & 0x7fff) > 0x7f80;
    EXPECT_EQ(F32ToBF16(f), nan ? h | 0x40 : h) << i;
  }
}

TEST(Float16Test, F32ToBF16RoundsToNearestEven) {
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // halfway, even below
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // halfway, even above
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f817fffu)), 0x3f81);
  EXPECT_EQ(F32ToBF16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);  // NaN, not infinity
}

}  // namespace
}  // namespace hearth
