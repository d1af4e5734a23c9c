#include "engine/scheduler/forecast.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "engine/scheduler/scheduler.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int32_t kMaxBatch = 512;
constexpr StepLimits kLimits = {.max_running = 4,
                                .max_batch_tokens = kMaxBatch,
                                .max_chunk = 0,
                                .decode_target = milliseconds(250),
                                .prefill_target = milliseconds(1000)};

Batch OneEntry(const std::vector<TokenId>& tokens, int32_t logit_rows = 0) {
  Batch batch;
  batch.entries.push_back({.request = 1,
                           .tokens = tokens,
                           .start = 0,
                           .blocks = {},
                           .regime = RopeRegime::kShort,
                           .logit_rows = logit_rows});
  batch.num_tokens = static_cast<int32_t>(tokens.size());
  return batch;
}

// A step takes 10 ms and 1 ms for each token.
CostModel TenMillisecondsAndOneForEachToken() {
  CostModel cost(kMaxBatch);
  for (int i = 0; i < 50; ++i) {
    for (const int count : {1, 8, 100, 400}) {
      const std::vector<TokenId> tokens(count);
      cost.Observe(OneEntry(tokens), milliseconds(10 + count));
    }
  }
  return cost;
}

double Milliseconds(nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

TEST(Forecast, OfAnIdleEngineIsPrefillThenDecode) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  Workload work;
  work.queued = {{.computed = 64, .pending = 100, .output = 51}};
  work.cached_tokens = 64;
  work.blocks_available = 100;
  const Estimate estimate = Forecast(work, kLimits, cost);
  EXPECT_EQ(estimate.queue_position, 0);
  EXPECT_EQ(estimate.cached_tokens, 64);
  EXPECT_NEAR(Milliseconds(estimate.first_token), 110, 2);
  EXPECT_NEAR(Milliseconds(estimate.total), 110 + 50 * 11, 10);
}

TEST(Forecast, APromptThatEndsItAllEndsWithIt) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  Workload work;
  work.queued = {{.pending = 100, .output = 0}};
  work.blocks_available = 100;
  const Estimate estimate = Forecast(work, kLimits, cost);
  EXPECT_NEAR(Milliseconds(estimate.first_token), 110, 2);
  EXPECT_EQ(estimate.total, estimate.first_token);
}

TEST(Forecast, ChunksAreAsShortAsTheyMayBe) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  StepLimits limits = kLimits;
  limits.max_chunk = 25;
  Workload work;
  work.queued = {{.pending = 100, .output = 0}};
  work.blocks_available = 100;
  EXPECT_NEAR(Milliseconds(Forecast(work, limits, cost).first_token), 4 * 35, 2);
}

TEST(Forecast, RowsOfLogitsCostTheirTime) {
  CostModel cost(kMaxBatch);
  for (int i = 0; i < 50; ++i) {
    for (const int count : {1, 8, 100, 400}) {
      const std::vector<TokenId> tokens(count);
      cost.Observe(OneEntry(tokens), milliseconds(10 + count));
      cost.Observe(OneEntry(tokens, count / 2), milliseconds(10 + count + 3 * (count / 2)));
    }
  }
  Workload work;
  work.queued = {{.pending = 100, .rows = 60, .output = 11}};
  work.blocks_available = 100;
  const Estimate estimate = Forecast(work, kLimits, cost);
  EXPECT_NEAR(Milliseconds(estimate.first_token), 110 + 3 * 60, 5);
  EXPECT_NEAR(Milliseconds(estimate.total - estimate.first_token), 10 * (11 + 3), 5);
}

TEST(Forecast, WaitsForAPlaceWhenAllAreTaken) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  Workload work;
  for (const int32_t output : {20, 40, 40, 40}) {
    work.running.push_back({.computed = 50, .pending = 1, .output = output, .held = 2});
  }
  work.queued = {{.pending = 1, .output = 10}};
  work.blocks_available = 100;
  const Estimate estimate = Forecast(work, kLimits, cost);
  EXPECT_EQ(estimate.queue_position, 1);
  EXPECT_NEAR(Milliseconds(estimate.first_token), 20 * 14 + 14, 5);
  EXPECT_NEAR(Milliseconds(estimate.total), 30 * 14, 8);
}

TEST(Forecast, WaitsForBlocks) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  Workload work;
  work.running.push_back({.computed = 64, .pending = 1, .output = 20, .held = 2});
  work.queued = {{.pending = 100, .output = 1}};
  work.blocks_available = 5;  // four are wanted, and one each for the other's next and growth
  EXPECT_EQ(Forecast(work, kLimits, cost).queue_position, 1);
  work.running[0].held = 3;  // the step under way has taken the next already
  EXPECT_EQ(Forecast(work, kLimits, cost).queue_position, 0);
  work.running[0].held = 2;
  work.blocks_available = 6;
  EXPECT_EQ(Forecast(work, kLimits, cost).queue_position, 0);
  work.blocks_available = 5;
  work.queued[0].shared = 1;
  EXPECT_EQ(Forecast(work, kLimits, cost).queue_position, 0);
}

TEST(Forecast, OthersInFrontCostTheirTime) {
  const CostModel cost = TenMillisecondsAndOneForEachToken();
  Workload work;
  work.queued = {{.pending = 100, .output = 1}};
  work.blocks_available = 1000;
  nanoseconds before{0};
  for (int i = 0; i < 6; ++i) {
    const Estimate estimate = Forecast(work, kLimits, cost);
    EXPECT_GT(estimate.first_token, before);
    EXPECT_EQ(estimate.queue_position, i < 4 ? 0 : i + 1);
    before = estimate.first_token;
    work.queued.insert(work.queued.begin(), {.pending = 300, .output = 5});
    ++work.asked;
  }
}

// Before the first step nothing is known of time, but the rest is told.
TEST(Forecast, BeforeTheFirstStepTimesAreZero) {
  Workload work;
  work.queued = {{.pending = 5000, .output = 5000}};
  work.blocks_available = 10;
  const Estimate estimate = Forecast(work, kLimits, CostModel(kMaxBatch));
  EXPECT_EQ(estimate.first_token.count(), 0);
  EXPECT_EQ(estimate.total.count(), 0);
}

Request Ask(int32_t prompt_tokens, TokenId first, int32_t max_tokens) {
  Request request;
  for (int32_t i = 0; i < prompt_tokens; ++i) request.prompt.push_back(first + i);
  request.max_tokens = max_tokens;
  return request;
}

void Step(Scheduler& scheduler, Clock::time_point now) {
  const Batch batch = scheduler.Schedule({64, 64}, now);
  std::vector<Drawn> drawn;
  for (const BatchEntry& entry : batch.entries) {
    if (entry.draws) drawn.push_back(Token{7, {}, {}});
  }
  scheduler.Apply(batch, drawn);
}

// Between Schedule and Apply, when most questions come: the step has its blocks, not its tokens.
TEST(Foresee, CountsTheBlocksOfTheStepUnderWayOnce) {
  SchedulerOptions options;
  options.num_blocks = 64;
  Scheduler scheduler(options);
  const Clock::time_point now = Clock::time_point{} + std::chrono::seconds(100);
  ASSERT_TRUE(scheduler.Add(1, Ask(100, 0, 40), now).ok());
  scheduler.Schedule({64, 64}, now);
  const auto asked = scheduler.Prepare(0, Ask(30, 5000, 5));
  const Workload work = scheduler.Foresee(*asked, 1, {}, now);
  ASSERT_EQ(work.running.size(), 1u);
  EXPECT_EQ(work.running[0].computed, 0);
  EXPECT_EQ(work.running[0].held, BlocksFor(64));
  EXPECT_EQ(work.blocks_available, 64 - BlocksFor(64));
}

TEST(Foresee, TellsWhatIsLeftAndChangesNothing) {
  SchedulerOptions options;
  options.num_blocks = 64;
  options.max_running = 1;
  Scheduler scheduler(options);
  const Clock::time_point now = Clock::time_point{} + std::chrono::seconds(100);
  ASSERT_TRUE(scheduler.Add(1, Ask(100, 0, 40), now).ok());
  Step(scheduler, now);  // 64 of its 100
  ASSERT_TRUE(scheduler.Add(2, Ask(50, 1000, 20), now).ok());

  Request high = Ask(80, 0, 10);
  high.priority = Priority::kHigh;
  const auto asked = scheduler.Prepare(0, high);
  const auto arriving = scheduler.Prepare(3, Ask(30, 5000, 5));
  const Workload work = scheduler.Foresee(*asked, 2, {arriving.get()}, now);
  scheduler.CheckInvariants();
  EXPECT_EQ(scheduler.stats().queued, 1);
  ASSERT_EQ(work.running.size(), 1u);
  EXPECT_EQ(work.running[0].computed, 64);
  EXPECT_EQ(work.running[0].pending, 36);
  EXPECT_EQ(work.running[0].held, BlocksFor(64));
  EXPECT_EQ(work.running[0].output, 40);
  ASSERT_EQ(work.queued.size(), 4u);
  EXPECT_EQ(work.asked, 1u);  // the second choice; both come before the others
  EXPECT_EQ(work.cached_tokens, 64);
  EXPECT_EQ(work.queued[0].pending, 16);
  EXPECT_EQ(work.queued[0].rows, 1);
  EXPECT_EQ(work.queued[0].shared, 2);
  EXPECT_EQ(work.queued[1].computed, 64);
  EXPECT_EQ(work.queued[2].pending, 50);
  EXPECT_EQ(work.queued[3].pending, 30);
}

}  // namespace
}  // namespace hearth
