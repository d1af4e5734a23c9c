#include "engine/ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

struct Results {
  std::vector<float> norm, sum, swiglu;
  bool operator==(const Results& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
    };
    return same(norm, other.norm) && same(sum, other.sum) && same(swiglu, other.swiglu);
  }
};

constexpr int32_t kRows = 5, kCols = 9000;  // more than a piece, not a multiple of one

Results Compute(Workers& workers, int32_t first, int32_t rows) {
  std::mt19937 rng(1);
  const std::vector<float> x = RandomFloats(rng, kRows * 2 * kCols);
  const std::vector<float> weight = RandomFloats(rng, kCols);
  Results r;
  r.norm.resize(rows * kCols);
  r.swiglu.resize(rows * kCols);
  RmsNorm(workers, &x[first * kCols], rows, kCols, weight.data(), 1e-5f, r.norm.data());
  r.sum.assign(&x[first * kCols], &x[(first + rows) * kCols]);
  AddInPlace(workers, r.sum.data(), r.norm.data(), rows * kCols);
  SwiGlu(workers, &x[first * 2 * kCols], rows, kCols, r.swiglu.data());
  return r;
}

TEST(Elementwise, SameBitsForAllThreadsAndSets) {
  auto one = MakeWorkers(1, "scalar");
  const Results expected = Compute(*one, 0, kRows);
  for (std::string_view isa : kernels::SupportedIsas()) {
    for (int32_t threads = 1; threads <= 4; ++threads) {
      auto workers = MakeWorkers(threads, isa);
      EXPECT_TRUE(Compute(*workers, 0, kRows) == expected) << isa << ", " << threads;
    }
  }
}

TEST(Elementwise, RowsDoNotDependOnEachOther) {
  auto workers = MakeWorkers(2);
  const Results all = Compute(*workers, 0, kRows);
  const Results last = Compute(*workers, kRows - 1, 1);
  const auto row = [](const std::vector<float>& values) {
    return std::vector<float>(values.end() - kCols, values.end());
  };
  EXPECT_TRUE(last == (Results{row(all.norm), row(all.sum), row(all.swiglu)}));
}

TEST(Elementwise, ComputesWhatItSays) {
  auto workers = MakeWorkers(2);
  const std::vector<float> gate_up = {0.0f, 2.0f, 3.0f, 5.0f, -1.0f, 1.0f, 7.0f, 11.0f};
  std::vector<float> out(4);
  SwiGlu(*workers, gate_up.data(), 2, 2, out.data());
  const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  EXPECT_FLOAT_EQ(out[0], 0.0f);
  EXPECT_FLOAT_EQ(out[1], silu(2) * 5);
  EXPECT_FLOAT_EQ(out[2], silu(-1) * 7);
  EXPECT_FLOAT_EQ(out[3], silu(1) * 11);
  const std::vector<float> x = {3.0f, 4.0f}, weight = {2.0f, 0.5f};
  RmsNorm(*workers, x.data(), 1, 2, weight.data(), 0.0f, out.data());
  EXPECT_FLOAT_EQ(out[0], 3 / std::sqrt(12.5) * 2);
  EXPECT_FLOAT_EQ(out[1], 4 / std::sqrt(12.5) * 0.5);
}

}  // namespace
}  // namespace hearth::ops
