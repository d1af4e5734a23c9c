#include "engine/ops/elementwise.h"

#include <gtest/gtest.h>

#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

TEST(Elementwise, AddInPlaceAddsOnEveryThread) {
  constexpr int64_t kSize = 45000;  // several pieces, not a multiple of one
  std::mt19937 rng(1);
  const std::vector<float> x = RandomFloats(rng, kSize);
  const std::vector<float> y = RandomFloats(rng, kSize);
  for (int32_t threads = 1; threads <= 4; ++threads) {
    std::vector<float> sum = x;
    AddInPlace(*MakeWorkers(threads), sum.data(), y.data(), kSize);
    for (int64_t i = 0; i < kSize; ++i) ASSERT_EQ(sum[i], x[i] + y[i]) << i << ", " << threads;
  }
}

}  // namespace
}  // namespace hearth::ops
