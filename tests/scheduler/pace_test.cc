// The loop that the engine closes, on machines whose speed is known: the cost model's budget makes
// a step, and what the step took teaches the cost model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/forecast.h"
#include "engine/scheduler/scheduler.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;

constexpr double kTarget = 250;
constexpr StepLimits kLimits = {.max_running = 16,
                                .max_batch_tokens = 512,
                                .max_chunk = 0,
                                .decode_target = milliseconds(250),
                                .prefill_target = milliseconds(1000)};

// Milliseconds that a step takes: for the weights, for each token, for each row of logits.
struct Machine {
  double weights, token, row;
};

// A full-size Phi-4-mini on two Zen 4 cores, about.
constexpr Machine kFullSize = {68, 10, 2.5};
// A small model with a large vocabulary.
constexpr Machine kDearRows = {40, 2, 4};

Request Ask(int32_t prompt_tokens, int32_t max_tokens, int32_t logits_from = -1) {
  static TokenId next = 0;
  Request request;
  request.prompt.resize(prompt_tokens);
  std::iota(request.prompt.begin(), request.prompt.end(), next);
  next += prompt_tokens;
  request.max_tokens = max_tokens;
  request.prompt_logits_from = logits_from;
  return request;
}

class Pace {
 public:
  explicit Pace(const Machine& machine) : machine_(machine), scheduler_(Options()) {}

  void Add(Request request) {
    ASSERT_TRUE(scheduler_.Add(++last_id_, std::move(request), now_).ok());
  }

  // Milliseconds.
  double Step() {
    const Batch batch = scheduler_.Schedule(kLimits.Allow(cost_, scheduler_.decoding()), now_);
    double took = machine_.weights;
    std::vector<Drawn> drawn;
    for (const BatchEntry& entry : batch.entries) {
      took += machine_.token * entry.tokens.size() + machine_.row * entry.logit_rows;
      if (entry.draws) drawn.push_back(Token{7, {}, {}});
    }
    const std::chrono::duration<double, std::milli> duration(took);
    cost_.Observe(batch, std::chrono::duration_cast<std::chrono::nanoseconds>(duration));
    now_ += std::chrono::duration_cast<Clock::duration>(duration);
    scheduler_.Apply(batch, drawn);
    scheduler_.CheckInvariants();
    scheduler_.TakeEvents();
    return took;
  }

  // The steps until no more than `running` requests are left.
  std::vector<double> StepsUntil(int32_t running) {
    std::vector<double> steps;
    while (scheduler_.stats().running + scheduler_.stats().queued > running) {
      steps.push_back(Step());
    }
    return steps;
  }

 private:
  static SchedulerOptions Options() {
    SchedulerOptions options;
    options.num_blocks = 1000;
    return options;
  }

  const Machine machine_;
  Scheduler scheduler_;
  CostModel cost_{kLimits.max_batch_tokens};
  Clock::time_point now_{};
  RequestId last_id_ = 0;
};

// Below a block of tokens: 68 ms and ten for each of 32 would be a third of a second.
TEST(Pace, AStreamKeepsItsTargetBesideAPrompt) {
  Pace pace(kFullSize);
  pace.Add(Ask(100, 5000));
  for (int i = 0; i < 10; ++i) pace.Step();
  for (int round = 0; round < 3; ++round) {
    pace.Add(Ask(600, 1));
    const std::vector<double> steps = pace.StepsUntil(1);
    EXPECT_LE(*std::max_element(steps.begin(), steps.end()), 1.1 * kTarget);
    EXPECT_LE(steps.size(), 600u / 14) << "nor is the prompt held up";
  }
}

// Where the streams alone take as long as they may, a prompt still comes forward.
TEST(Pace, APromptIsComputedBesideAllStreams) {
  Pace pace(kFullSize);
  for (int i = 0; i < 15; ++i) pace.Add(Ask(20, 5000));
  for (int i = 0; i < 40; ++i) pace.Step();
  pace.Add(Ask(400, 1));
  EXPECT_LE(pace.StepsUntil(15).size(), 400u / CostModel::kLeastChunk + 1);
}

// Rows of logits are part of the budget: neither do they lengthen steps, nor are they taken for the
// price of tokens that have none.
TEST(Pace, AStreamKeepsItsTargetBesideAnEcho) {
  for (const Machine& machine : {kFullSize, kDearRows}) {
    Pace pace(machine);
    pace.Add(Ask(100, 5000));
    for (int i = 0; i < 10; ++i) pace.Step();
    for (int round = 0; round < 6; ++round) {
      const bool echo = round % 2 == 0;
      pace.Add(Ask(600, 1, echo ? 0 : -1));
      std::vector<double> steps = pace.StepsUntil(1);
      steps.pop_back();  // what was left
      ASSERT_GE(steps.size(), 4u);
      if (round == 0)
        steps.erase(steps.begin(), steps.begin() + 3);  // which teach what a row costs
      EXPECT_LE(*std::max_element(steps.begin(), steps.end()), 1.1 * kTarget) << "round " << round;
      EXPECT_GE(*std::min_element(steps.begin(), steps.end()), 0.8 * kTarget) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace hearth
