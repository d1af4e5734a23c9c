#include "engine/sampling/rng.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <vector>

namespace hearth {
namespace {

// The known answers published with the paper's reference implementation (kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, LiesInRangeAndIsEven) {
  std::vector<int> bins(100, 0);
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = UniformDraw(9, 0, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<size_t>(u * 100)];
  }
  double chi_square = 0;
  for (const int count : bins) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 149.4);  // 99 degrees of freedom, p = 0.0008
  EXPECT_GT(chi_square, 60.0);   // nor too even
}

TEST(UniformDraw, EveryPartOfTheKeyMatters) {
  std::set<double> draws;
  for (int bit = 0; bit < 64; ++bit) draws.insert(UniformDraw(uint64_t{1} << bit, 0, 0));
  for (int bit = 0; bit < 32; ++bit) draws.insert(UniformDraw(0, 1u << bit, 0));
  for (int bit = 0; bit < 63; ++bit) draws.insert(UniformDraw(0, 0, int64_t{1} << bit));
  draws.insert(UniformDraw(0, 0, 0));
  EXPECT_EQ(draws.size(), 64u + 32 + 63 + 1);
}

// Neighbouring keys give unrelated draws: the correlation of long runs is small.
TEST(UniformDraw, SeedsAndChoicesAreIndependent) {
  const auto correlation = [](auto first, auto second) {
    constexpr int kDraws = 20000;
    double sum = 0;
    for (int i = 0; i < kDraws; ++i) sum += (first(i) - 0.5) * (second(i) - 0.5);
    return 12 * sum / kDraws;
  };
  const auto base = [](int i) { return UniformDraw(1, 0, i); };
  EXPECT_NEAR(correlation(base, [](int i) { return UniformDraw(2, 0, i); }), 0, 0.03);
  EXPECT_NEAR(correlation(base, [](int i) { return UniformDraw(1, 1, i); }), 0, 0.03);
  EXPECT_NEAR(correlation(base, [](int i) { return UniformDraw(1, 0, i + 1); }), 0, 0.03);
  EXPECT_NEAR(correlation(base, base), 1, 0.03);
}

}  // namespace
}  // namespace hearth
