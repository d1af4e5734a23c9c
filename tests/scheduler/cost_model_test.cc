#include "engine/scheduler/cost_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace hearth {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

const std::vector<TokenId> kTokens(4096, 1);

Batch OneEntry(int32_t tokens, int32_t start = 0, int32_t logit_rows = 0) {
  Batch batch;
  batch.entries.push_back({.request = 1,
                           .tokens = absl::MakeConstSpan(kTokens).first(tokens),
                           .start = start,
                           .blocks = {},
                           .regime = RopeRegime::kShort,
                           .logit_rows = logit_rows,
                           .draws = false});
  batch.num_tokens = tokens;
  return batch;
}

nanoseconds Milliseconds(double ms) {
  return std::chrono::duration_cast<nanoseconds>(duration<double, std::milli>(ms));
}

// A machine that takes 70 ms for the weights, 0.5 ms per token and 2 ns per attended position.
double TrueMilliseconds(int32_t tokens, int32_t start) {
  const double attended = static_cast<double>(tokens) * start + tokens * (tokens + 1.0) / 2;
  return 70 + 0.5 * tokens + 2e-6 * attended;
}

TEST(CostModel, StartsWithTheLeastChunkAndNeverGivesLess) {
  CostModel model(512);
  EXPECT_EQ(model.BudgetFor(milliseconds(250)).max_tokens, CostModel::kLeastChunk);
  EXPECT_EQ(model.BudgetFor(milliseconds(250)).min_chunk, CostModel::kLeastChunk);
  model.Observe(OneEntry(512), Milliseconds(100000));
  EXPECT_EQ(model.BudgetFor(milliseconds(250)).max_tokens, CostModel::kLeastChunk);
  EXPECT_EQ(model.BudgetFor(milliseconds(0)).max_tokens, CostModel::kLeastChunk);
  EXPECT_EQ(model.BudgetFor(milliseconds(0)).min_chunk, CostModel::kLeastChunk);
  EXPECT_EQ(CostModel(3).BudgetFor(milliseconds(250)).max_tokens, 3);
}

TEST(CostModel, LearnsAMachineAndKeepsTheTarget) {
  std::mt19937 random(3);
  CostModel model(512);
  for (int i = 0; i < 300; ++i) {
    const int32_t tokens =
        i % 3 ? 1 + static_cast<int32_t>(random() % 8) : 16 + static_cast<int32_t>(random() % 400);
    const auto start = static_cast<int32_t>(random() % 4000);
    const double noise = 0.97 + 0.06 * (random() % 1000) / 1000.0;
    model.Observe(OneEntry(tokens, start), Milliseconds(TrueMilliseconds(tokens, start) * noise));
  }
  model.Observe(OneEntry(1, 100), Milliseconds(TrueMilliseconds(1, 100)));
  EXPECT_NEAR(model.BudgetFor(milliseconds(250)).max_tokens, 360, 40);
  EXPECT_NEAR(model.BudgetFor(milliseconds(120)).max_tokens, 100, 15);
}

// 40 ms for the weights, 2 for each token and 4 for each row of logits.
TEST(CostModel, TellsRowsOfLogitsFromTokens) {
  std::mt19937 random(7);
  CostModel model(512);
  for (int i = 0; i < 300; ++i) {
    const int32_t tokens = 1 + static_cast<int32_t>(random() % (i % 3 == 0 ? 8 : 200));
    const int32_t rows = i % 3 == 2 ? 1 : tokens;
    const double noise = 0.97 + 0.06 * (random() % 1000) / 1000.0;
    model.Observe(OneEntry(tokens, 0, rows), Milliseconds((40 + 2 * tokens + 4 * rows) * noise));
  }
  const Budget budget = model.BudgetFor(milliseconds(240));
  EXPECT_NEAR(budget.max_tokens, 100, 10);
  EXPECT_NEAR(budget.row_tokens, 2, 0.3);
  EXPECT_NEAR(duration<double>(model.Expect(10, 0, 10)).count(), 0.100, 0.010);
  // Where every batch stays within the target, rows have a part of its room.
  EXPECT_EQ(model.BudgetFor(milliseconds(4040)).max_tokens, 512);
  EXPECT_NEAR(model.BudgetFor(milliseconds(4040)).row_tokens, 4 * 512 / 4000.0, 0.06);
}

// The loop that the engine closes: the budget decides the next step, which teaches the model.
TEST(CostModel, ConvergesFromNothing) {
  CostModel model(512);
  int within = 0;
  for (int i = 0; i < 60; ++i) {
    const int32_t tokens = model.BudgetFor(milliseconds(200)).max_tokens;
    const double took = TrueMilliseconds(tokens, 500);
    if (i >= 10 && took <= 210 && took >= 180) ++within;
    model.Observe(OneEntry(tokens, 500), Milliseconds(took));
  }
  EXPECT_EQ(within, 50);
}

TEST(CostModel, ManyDecodeStepsDoNotWashOutTheLargeOnes) {
  CostModel model(512);
  for (int i = 0; i < 10; ++i) {
    model.Observe(OneEntry(256), Milliseconds(TrueMilliseconds(256, 0)));
  }
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    const double noise = 0.9 + 0.2 * (random() % 1000) / 1000.0;
    model.Observe(OneEntry(1, i % 4000), Milliseconds(TrueMilliseconds(1, i % 4000) * noise));
  }
  EXPECT_NEAR(model.BudgetFor(milliseconds(200)).max_tokens, 256, 60);
}

TEST(CostModel, OneOutlierBarelyCounts) {
  CostModel model(512);
  for (int i = 0; i < 50; ++i) {
    model.Observe(OneEntry(1), Milliseconds(TrueMilliseconds(1, 0)));
    model.Observe(OneEntry(128), Milliseconds(TrueMilliseconds(128, 0)));
  }
  const int32_t before = model.BudgetFor(milliseconds(250)).max_tokens;
  model.Observe(OneEntry(128), Milliseconds(60000));  // the machine slept
  const int32_t after = model.BudgetFor(milliseconds(250)).max_tokens;
  EXPECT_NEAR(after, before, 0.25 * before);
}

TEST(CostModel, F23_FollowsAMachineThatSlowsDown) {
  CostModel model(512);
  for (int i = 0; i < 50; ++i) {
    model.Observe(OneEntry(1), Milliseconds(7));
    model.Observe(OneEntry(200), Milliseconds(20));
  }
  EXPECT_EQ(model.BudgetFor(milliseconds(200)).max_tokens, 512);
  for (int i = 0; i < 60; ++i) {
    model.Observe(OneEntry(1), Milliseconds(70));
    model.Observe(OneEntry(200), Milliseconds(200));
  }
  EXPECT_NEAR(model.BudgetFor(milliseconds(200)).max_tokens, 200, 20);
}

TEST(CostModel, DegenerateDataGiveACarefulBudget) {
  CostModel model(512);
  for (int i = 0; i < 100; ++i) model.Observe(OneEntry(4, 100), Milliseconds(20));
  EXPECT_NEAR(model.BudgetFor(milliseconds(250)).max_tokens, 50, 1);           // 5 ms for each
  for (int i = 0; i < 100; ++i) model.Observe(OneEntry(64), Milliseconds(1));  // faster: nonsense
  const Budget budget = model.BudgetFor(milliseconds(250));
  EXPECT_GE(budget.max_tokens, CostModel::kLeastChunk);
  EXPECT_LE(budget.max_tokens, 512);
}

TEST(CostModel, IgnoresWhatSaysNothing) {
  CostModel model(512);
  model.Observe(Batch{}, milliseconds(5));
  model.Observe(OneEntry(5), nanoseconds(0));
  model.Observe(OneEntry(5), nanoseconds(-3));
  EXPECT_EQ(model.BudgetFor(milliseconds(250)).max_tokens, CostModel::kLeastChunk);
}

}  // namespace
}  // namespace hearth
