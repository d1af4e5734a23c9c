#include "engine/sampling/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace hearth {
namespace {

// The definition, by a full sort, in double.
struct Reference {
  std::vector<TokenId> order;
  std::vector<double> weights;

  Reference(const std::vector<float>& logits, float temperature) {
    order.resize(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    const double max = logits[order[0]];
    while (!order.empty() && (logits[order.back()] - max) / temperature < -87.3) order.pop_back();
    for (const TokenId token : order) {
      weights.push_back(std::exp((logits[token] - max) / temperature));
    }
  }
  double Total() const { return std::accumulate(weights.begin(), weights.end(), 0.0); }
  void Resize(size_t size) {
    order.resize(std::min(size, order.size()));
    weights.resize(order.size());
  }
  void KeepMass(double p) {
    const double goal = p * Total();
    double sum = 0;
    size_t n = 0;
    while (n < weights.size() && sum < goal) sum += weights[n++];
    Resize(n);
  }
  void KeepAbove(double z) {
    size_t n = 0;
    while (n < weights.size() && weights[n] >= std::exp(z)) ++n;
    Resize(n);
  }
  // The token at u, or -1 if u is so near an edge that rounding decides.
  TokenId Pick(double u) const {
    const double goal = u * Total();
    double sum = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      sum += weights[i];
      if (std::abs(sum - goal) < 1e-5 * Total()) return -1;
      if (sum > goal) return order[i];
    }
    return -1;
  }
};

std::vector<float> RandomLogits(std::mt19937& random, size_t size) {
  const float spread = std::pow(10.0f, static_cast<float>(random() % 4) - 1);
  std::normal_distribution<float> bell(0.0f, spread);
  std::vector<float> logits(size);
  for (float& logit : logits) {
    logit = random() % 20 == 0 ? -std::numeric_limits<float>::infinity() : bell(random);
    if (random() % 3 == 0) logit = std::round(logit * 4) / 4;  // ties
  }
  logits[random() % size] = spread;
  return logits;
}

TEST(Ranking, AgreesWithAFullSort) {
  std::mt19937 random(1);
  int compared = 0;
  Ranking ranking;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<float> logits = RandomLogits(random, 1 + random() % 700);
    const float max = *std::max_element(logits.begin(), logits.end());
    const float temperature = std::vector<float>{0.1f, 0.7f, 1.0f, 2.0f}[random() % 4];
    Reference reference(logits, temperature);
    ranking.Reset(logits, max, temperature);
    if (random() % 2) {
      const auto count = static_cast<int32_t>(1 + random() % 60);
      ranking.KeepCount(count);
      reference.Resize(count);
    }
    if (random() % 2) {
      const double p = 0.01 + 0.001 * static_cast<double>(random() % 980);
      ranking.KeepMass(p);
      reference.KeepMass(p);
    }
    if (random() % 2) {
      const float z = -0.001f * static_cast<float>(random() % 9000);
      ranking.KeepAbove(z);
      reference.KeepAbove(z);
    }
    for (int draw = 0; draw < 8; ++draw) {
      const double u = static_cast<double>(random() % 9999) / 10000;
      const TokenId expected = reference.Pick(u);
      if (expected < 0) continue;
      ++compared;
      ASSERT_EQ(ranking.Pick(u), expected) << "round " << round << " u " << u;
    }
  }
  EXPECT_GT(compared, 20000);
}

TEST(Ranking, EqualLogitsGoByAscendingId) {
  const std::vector<float> logits(1000, 3.5f);
  Ranking ranking;
  ranking.Reset(logits, 3.5f, 1.0f);
  EXPECT_EQ(ranking.Pick(0), 0);
  EXPECT_EQ(ranking.Pick(0.5005), 500);
  EXPECT_EQ(ranking.Pick(0.99999), 999);
  ranking.KeepCount(10);
  EXPECT_EQ(ranking.Pick(0.99999), 9);
  ranking.KeepAbove(-0.001f);  // a limit further out brings nothing back
  EXPECT_EQ(ranking.Pick(0.99999), 9);
  ranking.KeepMass(1.0);
  EXPECT_EQ(ranking.Pick(0.99999), 9);
}

TEST(Ranking, TheCandidateThatReachesTheMassIsKept) {
  const std::vector<float> logits = {0, 0, 0, 0};
  Ranking ranking;
  const auto kept = [&](double p) {
    ranking.Reset(logits, 0, 1);
    ranking.KeepMass(p);
    return ranking.Pick(0.999999) + 1;
  };
  EXPECT_EQ(kept(1e-9), 1);
  EXPECT_EQ(kept(0.25), 1);
  EXPECT_EQ(kept(0.26), 2);
  EXPECT_EQ(kept(0.5), 2);
  EXPECT_EQ(kept(0.76), 4);
  EXPECT_EQ(kept(1.0), 4);
}

TEST(Ranking, ExtremeRowsAndTemperatures) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> logits = {-kLargest, kLargest, -kInfinity, 0, kLargest};
  Ranking ranking;
  for (const float temperature : {1e-45f, 1e-6f, 1.0f, 2.0f, 1e30f}) {
    ranking.Reset(logits, kLargest, temperature);
    EXPECT_EQ(ranking.Pick(0), 1);
    EXPECT_EQ(ranking.Pick(0.75), 4);  // a tie of two; the rest weighs nothing
    ranking.KeepAbove(0);
    EXPECT_EQ(ranking.Pick(0.999999), 4);
    ranking.KeepCount(1);
    EXPECT_EQ(ranking.Pick(0.999999), 1);
  }
}

TEST(Ranking, OneToken) {
  const std::vector<float> logits = {-3};
  Ranking ranking;
  ranking.Reset(logits, -3, 0.5f);
  ranking.KeepCount(5);
  ranking.KeepMass(0.1);
  ranking.KeepAbove(-1);
  EXPECT_EQ(ranking.Pick(0.9999), 0);
}

}  // namespace
}  // namespace hearth
