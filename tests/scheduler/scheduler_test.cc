#include "engine/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace hearth {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr TokenId kDrawn = 7;  // what the model draws unless told otherwise
constexpr TokenId kStop = 900;

std::vector<TokenId> Tokens(int32_t count, TokenId first = 1000) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Request Ask(std::vector<TokenId> prompt, int32_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.stop_tokens = {kStop};
  return request;
}

SchedulerOptions Options(int32_t num_blocks) {
  SchedulerOptions options;
  options.num_blocks = num_blocks;
  return options;
}

// A scheduler, a clock, and what came out of it by request.
class Driver {
 public:
  explicit Driver(const SchedulerOptions& options) : scheduler(options) {}

  RequestId Add(Request request) {
    const absl::Status status = scheduler.Add(++last_id, std::move(request), now);
    EXPECT_TRUE(status.ok()) << status;
    return last_id;
  }

  Batch Schedule(Budget budget = {512, 512}) {
    Batch batch = scheduler.Schedule(budget, now);
    scheduler.CheckInvariants();
    return batch;
  }

  void Apply(const Batch& batch) {
    std::vector<Drawn> drawn;
    for (const BatchEntry& entry : batch.entries) {
      if (!entry.draws) continue;
      const auto script = scripts.find(entry.request);
      drawn.push_back(script == scripts.end() ? Drawn(Token{kDrawn, {}, {}}) : script->second);
    }
    scheduler.Apply(batch, drawn);
    scheduler.CheckInvariants();
    TakeEvents();
  }

  void TakeEvents() {
    for (Emission& emission : scheduler.TakeEvents()) {
      const RequestId id = emission.request;
      if (const auto* token = std::get_if<Token>(&emission.event)) {
        tokens[id].push_back(token->id);
      } else if (const auto* report = std::get_if<Progress>(&emission.event)) {
        progress[id].push_back(*report);
      } else {
        EXPECT_FALSE(finish.contains(id));
        finish[id] = std::get<Finish>(emission.event);
        order.push_back(id);
      }
    }
  }

  // The ids computed.
  std::vector<RequestId> Step(Budget budget = {512, 512}) {
    const Batch batch = Schedule(budget);
    std::vector<RequestId> ids;
    for (const BatchEntry& entry : batch.entries) ids.push_back(entry.request);
    Apply(batch);
    return ids;
  }

  template <typename Done>
  int StepUntil(Done done, Budget budget = {512, 512}) {
    constexpr int kMostSteps = 10000;
    int steps = 0;
    for (; !done() && steps < kMostSteps; ++steps) Step(budget);
    EXPECT_LT(steps, kMostSteps) << "never came to it";
    return steps;
  }

  int RunUntilIdle(Budget budget = {512, 512}) {
    return StepUntil([&] { return scheduler.idle(); }, budget);
  }

  void RunUntilPreemption(Budget budget = {512, 512}) {
    StepUntil([&] { return scheduler.stats().preemptions > 0; }, budget);
  }

  Scheduler scheduler;
  Clock::time_point now = Clock::time_point{} + seconds(100);
  RequestId last_id = 0;
  std::map<RequestId, Drawn> scripts;
  std::map<RequestId, std::vector<TokenId>> tokens;
  std::map<RequestId, std::vector<Progress>> progress;
  std::map<RequestId, Finish> finish;
  std::vector<RequestId> order;  // of the ends
};

std::vector<int32_t> Sizes(const Batch& batch) {
  std::vector<int32_t> sizes;
  for (const BatchEntry& entry : batch.entries) {
    sizes.push_back(static_cast<int32_t>(entry.tokens.size()));
  }
  return sizes;
}

TEST(Add, RefusesWhatExceedsTheQueueOrThePool) {
  SchedulerOptions options = Options(4);
  options.max_queued = 2;
  Driver driver(options);
  Scheduler& scheduler = driver.scheduler;
  // 4 blocks hold 128 tokens; the last token drawn needs no place.
  EXPECT_EQ(scheduler.Add(1, Ask(Tokens(100), 30), driver.now).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(scheduler.Add(1, Ask(Tokens(1), 2147483647), driver.now).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(scheduler.Add(1, Ask(Tokens(100), 29), driver.now).ok());
  EXPECT_TRUE(scheduler.Add(2, Ask(Tokens(1), 1), driver.now).ok());
  EXPECT_EQ(scheduler.Add(3, Ask(Tokens(1), 1), driver.now).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(scheduler.stats().queued, 2);
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish.size(), 2u);
  EXPECT_EQ(driver.tokens[1].size(), 29u);
}

TEST(Schedule, PromptsGoInChunksAndReportProgress) {
  Driver driver(Options(64));
  const RequestId id = driver.Add(Ask(Tokens(100), 2));
  Batch batch = driver.Schedule({40, 40});
  EXPECT_FALSE(driver.scheduler.decoding());
  EXPECT_EQ(batch.entries[0].logit_rows, 0);
  EXPECT_EQ(batch.entries[0].blocks.size(), 2u);  // as positions need them
  driver.Apply(batch);
  driver.Step({500, 50});
  batch = driver.Schedule({40, 40});
  EXPECT_EQ(batch.entries[0].start, 90);
  EXPECT_EQ(batch.entries[0].tokens, absl::MakeConstSpan(Tokens(10, 1090)));
  EXPECT_EQ(batch.entries[0].logit_rows, 1);
  driver.Apply(batch);
  ASSERT_EQ(driver.progress[id].size(), 3u);
  EXPECT_EQ(driver.progress[id][0].computed_tokens, 40);
  EXPECT_EQ(driver.progress[id][1].computed_tokens, 90);
  EXPECT_EQ(driver.progress[id][2].computed_tokens, 100);
  EXPECT_EQ(driver.progress[id][2].prompt_tokens, 100);
  EXPECT_EQ(driver.progress[id][2].cached_tokens, 0);
  EXPECT_TRUE(driver.scheduler.decoding());
  driver.Step();
  EXPECT_FALSE(driver.scheduler.decoding());
  EXPECT_EQ(driver.progress[id].size(), 3u);
  EXPECT_EQ(driver.finish[id].reason, FinishReason::kLength);
}

TEST(Schedule, DecodingSequencesComeFirstThenTheOldestPrompts) {
  Driver driver(Options(64));
  const RequestId a = driver.Add(Ask(Tokens(5, 0), 50));
  const RequestId b = driver.Add(Ask(Tokens(5, 100), 50));
  driver.Step();
  const RequestId c = driver.Add(Ask(Tokens(60, 200), 50));
  const RequestId d = driver.Add(Ask(Tokens(60, 300), 50));
  EXPECT_THAT(Sizes(driver.Schedule({32, 512})), ElementsAre(1, 1, 30));
  driver.Apply(driver.Schedule({32, 512}));
  EXPECT_THAT(driver.Step({32, 512}), ElementsAre(a, b, c));  // nothing is left for d
  EXPECT_THAT(driver.Step({32, 20}), ElementsAre(a, b, c, d));
  EXPECT_EQ(driver.scheduler.stats().running, 4);
}

TEST(Schedule, ABudgetTooSmallStillServesStreamsAndOnePrompt) {
  Driver driver(Options(64));
  const RequestId prompt = driver.Add(Ask(Tokens(40, 500), 2));
  driver.Step({4, 4});
  std::vector<RequestId> streams;
  for (int i = 0; i < 5; ++i) {
    Request request = Ask({i}, 50);
    request.priority = Priority::kHigh;
    streams.push_back(driver.Add(request));
  }
  driver.Step({300, 4});
  const Batch batch = driver.Schedule({1, 1});
  EXPECT_THAT(Sizes(batch), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_EQ(batch.entries.back().request, prompt);
}

TEST(Schedule, PromptsGetTheLeastChunkWhateverDecodes) {
  Driver driver(Options(64));
  for (int i = 0; i < 5; ++i) driver.Add(Ask({i}, 50));
  driver.Step();
  driver.Add(Ask(Tokens(40, 500), 2));
  const Budget tight{.max_tokens = 1, .max_chunk = 64, .min_chunk = 8};
  EXPECT_THAT(Sizes(driver.Schedule(tight)), ElementsAre(1, 1, 1, 1, 1, 8));  // it is admitted
  driver.Add(Ask(Tokens(40, 600), 2));
  driver.Apply(driver.Schedule(tight));
  EXPECT_THAT(Sizes(driver.Schedule(tight)), ElementsAre(1, 1, 1, 1, 1, 8));
}

TEST(Schedule, RowsOfLogitsTakeTheirPartOfTheBudget) {
  Driver driver(Options(64));
  const Budget budget{.max_tokens = 60, .max_chunk = 512, .min_chunk = 1, .row_tokens = 2};
  Request echo = Ask(Tokens(100), 5);
  echo.prompt_logits_from = 41;  // the first 40 tokens foretell nothing that is asked for
  driver.Add(echo);
  driver.Add(Ask(Tokens(100, 500), 5));
  driver.Add(Ask(Tokens(100, 700), 5));
  EXPECT_THAT(Sizes(driver.Schedule(budget)), ElementsAre(46, 2));  // 46 with 6 rows, and 2
  driver.Apply(driver.Schedule(budget));
  EXPECT_THAT(Sizes(driver.Schedule(budget)), ElementsAre(20));  // each with a row
  driver.Apply(driver.Schedule(budget));
  const Budget dear{.max_tokens = 60, .max_chunk = 512, .min_chunk = 1, .row_tokens = 100};
  EXPECT_THAT(Sizes(driver.Schedule(dear)), ElementsAre(1)) << "goes on all the same";
}

TEST(Finish, MaxTokensStopTokensAndMinTokens) {
  Driver driver(Options(64));
  const RequestId length = driver.Add(Ask(Tokens(5, 0), 3));
  const RequestId stop = driver.Add(Ask(Tokens(5, 100), 9));
  Request request = Ask(Tokens(5, 200), 9);
  request.min_tokens = 2;
  const RequestId patient = driver.Add(request);
  driver.Step();
  driver.scripts[stop] = driver.scripts[patient] = Token{kStop, {}, {}};
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[length].reason, FinishReason::kLength);
  EXPECT_EQ(driver.finish[length].completion_tokens, 3);
  EXPECT_THAT(driver.tokens[length], ElementsAre(kDrawn, kDrawn, kDrawn));
  EXPECT_EQ(driver.finish[stop].reason, FinishReason::kStop);
  EXPECT_TRUE(driver.finish[stop].status.ok());
  EXPECT_EQ(driver.finish[stop].completion_tokens, 2);              // the stop token counts
  EXPECT_THAT(driver.tokens[stop], ElementsAre(kDrawn));            // and is not delivered
  EXPECT_THAT(driver.tokens[patient], ElementsAre(kDrawn, kStop));  // no stop before two tokens
  EXPECT_EQ(driver.finish[patient].completion_tokens, 3);
}

// What completes a constraint is delivered, and ends the request as a stop token would.
TEST(Finish, TheLastTokenOfAConstraint) {
  Driver driver(Options(64));
  Request request = Ask(Tokens(5, 0), 9);
  request.min_tokens = 8;
  const RequestId early = driver.Add(request);
  const RequestId at_limit = driver.Add(Ask(Tokens(5, 100), 2));
  driver.Step();
  driver.scripts[early] = driver.scripts[at_limit] = DrawnToken(Token{42, {}, {}}, true);
  driver.RunUntilIdle();
  for (const RequestId id : {early, at_limit}) {
    EXPECT_EQ(driver.finish[id].reason, FinishReason::kStop);
    EXPECT_TRUE(driver.finish[id].status.ok());
    EXPECT_THAT(driver.tokens[id], ElementsAre(kDrawn, 42));
    EXPECT_EQ(driver.finish[id].completion_tokens, 2);
  }
}

TEST(Finish, F21_AnErrorEndsItsRequestOnly) {
  Driver driver(Options(64));
  const RequestId bad = driver.Add(Ask(Tokens(5, 0), 5));
  const RequestId good = driver.Add(Ask(Tokens(5, 100), 5));
  driver.Step();
  driver.scripts[bad] = absl::InternalError("logits: token 3 has nan");
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[bad].reason, FinishReason::kError);
  EXPECT_EQ(driver.finish[bad].status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(driver.finish[bad].completion_tokens, 1);
  EXPECT_EQ(driver.tokens[good].size(), 5u);
}

TEST(Cancel, F16_QueuedInPromptDecodingAndWithinAStep) {
  SchedulerOptions options = Options(64);
  options.max_running = 3;
  Driver driver(options);
  const RequestId decoding = driver.Add(Ask(Tokens(5, 0), 50));
  const RequestId other = driver.Add(Ask(Tokens(5, 100), 50));
  const RequestId in_prompt = driver.Add(Ask(Tokens(200, 300), 50));
  const RequestId queued = driver.Add(Ask(Tokens(5, 900), 50));
  driver.Step({60, 50});
  const absl::Status why = absl::CancelledError("client gone");
  driver.scheduler.Cancel(queued, why);
  EXPECT_EQ(driver.scheduler.stats().queued, 0);
  driver.scheduler.Cancel(in_prompt, why);
  driver.scheduler.CheckInvariants();
  EXPECT_EQ(driver.scheduler.stats().blocks_used, 2);
  const Batch batch = driver.Schedule();
  driver.scheduler.Cancel(decoding, why);
  EXPECT_EQ(driver.scheduler.stats().blocks_used, 1);
  driver.Apply(batch);
  driver.scheduler.Cancel(decoding, why);  // has ended
  driver.scheduler.Cancel(12345, why);     // never was
  driver.RunUntilIdle();
  EXPECT_EQ(driver.tokens[decoding].size(), 1u);
  EXPECT_EQ(driver.tokens[other].size(), 50u);
  for (const RequestId id : {decoding, in_prompt, queued}) {
    EXPECT_EQ(driver.finish[id].reason, FinishReason::kCancelled);
    EXPECT_EQ(driver.finish[id].status, why);
  }
  EXPECT_EQ(driver.scheduler.stats().cancellations, 3u);
  EXPECT_EQ(driver.scheduler.stats().blocks_used, 0);
}

TEST(Deadlines, ExpireAsErrorsNeverAsShortAnswers) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  Driver driver(options);
  Request request = Ask(Tokens(5), 50);
  request.deadline = driver.now + seconds(9);
  request.queue_deadline = driver.now + seconds(1);
  const RequestId running = driver.Add(request);
  request.queue_deadline = driver.now + seconds(5);
  const RequestId impatient = driver.Add(request);
  request.queue_deadline = Clock::time_point::max();
  const RequestId queued = driver.Add(request);
  driver.Step();
  driver.now += milliseconds(4999);
  driver.Step();
  EXPECT_THAT(driver.finish, IsEmpty());
  driver.now += milliseconds(1);
  driver.Step();
  EXPECT_EQ(driver.finish.at(impatient).status.code(), absl::StatusCode::kUnavailable);
  driver.now += seconds(4);
  EXPECT_TRUE(driver.Schedule().empty());
  driver.TakeEvents();
  for (const RequestId id : {running, queued}) {
    EXPECT_EQ(driver.finish.at(id).reason, FinishReason::kError);
    EXPECT_EQ(driver.finish.at(id).status.code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(driver.finish.at(running).completion_tokens, 3);
  EXPECT_TRUE(driver.scheduler.idle());
}

TEST(Preemption, TakesTheYoungestOfTheLowestClassAndResumesIt) {
  SchedulerOptions options = Options(8);  // three times three blocks will be wanted
  options.ageing = milliseconds(0);
  Driver driver(options);
  const auto add = [&](Priority priority, TokenId first) {
    Request request = Ask(Tokens(33, first), 60);
    request.priority = priority;
    request.queue_deadline = driver.now + seconds(1);
    return driver.Add(request);
  };
  const RequestId old = add(Priority::kLow, 0);
  const RequestId young = add(Priority::kLow, 100);
  const RequestId urgent = add(Priority::kHigh, 200);  // the youngest, but not of the lowest class
  driver.Step();
  driver.now += seconds(10);  // a preempted sequence does not expire as if it had never started
  driver.RunUntilPreemption();
  EXPECT_EQ(driver.tokens[young].size(), 32u);
  EXPECT_EQ(driver.scheduler.stats().queued, 1);
  EXPECT_THAT(driver.Step(), ElementsAre(urgent, old));
  driver.RunUntilIdle();
  EXPECT_THAT(driver.order, ElementsAre(urgent, old, young));
  for (const RequestId id : {old, young, urgent}) {
    EXPECT_EQ(driver.finish[id].reason, FinishReason::kLength);
    EXPECT_EQ(driver.tokens[id].size(), 60u);
  }
  EXPECT_EQ(driver.progress[young].size(), 1u);      // recomputation is not progress
  EXPECT_EQ(driver.finish[young].cached_tokens, 0);  // nor are its own blocks cached prompt
}

TEST(Preemption, NoneIsAdmittedInAStepThatPreempted) {
  Driver driver(Options(6));
  const RequestId old = driver.Add(Ask(Tokens(31, 0), 80));
  driver.Add(Ask(Tokens(95, 100), 80));
  while (driver.scheduler.stats().blocks_used < 6) driver.Step();
  Request request = Ask({5}, 1);
  request.priority = Priority::kHigh;
  const RequestId urgent = driver.Add(request);
  std::vector<RequestId> computed;
  for (int i = 0; i < 100 && driver.scheduler.stats().preemptions == 0; ++i) {
    computed = driver.Step();
  }
  EXPECT_THAT(computed, ElementsAre(old));  // though its victim left room for the newcomer
  EXPECT_THAT(driver.Step(), ElementsAre(old, urgent));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish.size(), 3u);
}

TEST(Preemption, PromptLogitsAreNotComputedAgain) {
  Driver driver(Options(6));
  driver.Add(Ask(Tokens(31, 0), 80));
  Request request = Ask(Tokens(95, 100), 80);
  request.prompt_logits_from = 0;
  const RequestId all = driver.Add(request);
  int32_t rows = 0;
  for (int i = 0; i < 1000 && !driver.scheduler.idle(); ++i) {
    const Batch batch = driver.Schedule({33, 32});  // it resumes in several steps
    for (const BatchEntry& entry : batch.entries) {
      EXPECT_GE(entry.logit_rows, entry.draws ? 1 : 0);
      EXPECT_LE(entry.logit_rows, static_cast<int32_t>(entry.tokens.size()));
      if (entry.request == all) rows += entry.logit_rows;
    }
    driver.Apply(batch);
  }
  EXPECT_GT(driver.scheduler.stats().preemptions, 0u);
  EXPECT_EQ(rows, 95 + 79);
}

TEST(Prompt, EndsWhenNothingIsToBeDrawn) {
  Driver driver(Options(16));
  Request request = Ask(Tokens(70), 0);
  request.pooling = Pooling::kLast;
  const RequestId id = driver.Add(request);
  int32_t pooled = 0;
  for (int i = 0; i < 100 && !driver.scheduler.idle(); ++i) {
    const Batch batch = driver.Schedule({32, 32});
    for (const BatchEntry& entry : batch.entries) {
      EXPECT_FALSE(entry.draws);
      EXPECT_EQ(entry.logit_rows, 0);
      pooled += entry.pooled_rows;
    }
    driver.Apply(batch);
  }
  EXPECT_EQ(pooled, 1);
  EXPECT_EQ(driver.finish[id].reason, FinishReason::kLength);
  EXPECT_TRUE(driver.finish[id].status.ok());
  EXPECT_EQ(driver.finish[id].completion_tokens, 0);
  EXPECT_EQ(driver.progress[id].back().computed_tokens, 70);
  EXPECT_EQ(driver.scheduler.stats().blocks_cached, 2);
}

// What is in front of the first token that is wanted may come from the cache, and nothing else.
TEST(Prompt, TakesTheCachedPrefixInFrontOfWhatIsAsked) {
  Driver driver(Options(64));
  driver.Add(Ask(Tokens(200), 1));
  driver.RunUntilIdle();
  const auto cached = [&](int32_t from, Pooling pooling) {
    Request request = Ask(Tokens(200), 0);
    request.prompt_logits_from = from;
    request.pooling = pooling;
    const RequestId id = driver.Add(request);
    driver.RunUntilIdle();
    return driver.finish[id].cached_tokens;
  };
  EXPECT_EQ(cached(0, Pooling::kNone), 0);
  EXPECT_EQ(cached(1, Pooling::kNone), 0);
  EXPECT_EQ(cached(64, Pooling::kNone), 32);  // token 63 foretells it
  EXPECT_EQ(cached(65, Pooling::kNone), 64);
  EXPECT_EQ(cached(1000, Pooling::kLast), 192);
  EXPECT_EQ(cached(-1, Pooling::kLast), 192);
  EXPECT_EQ(cached(-1, Pooling::kMean), 0);
}

TEST(Prompt, WhatFailsEndsWithAnError) {
  Driver driver(Options(16));
  Request request = Ask(Tokens(40), 0);
  request.pooling = Pooling::kMean;
  const RequestId bad = driver.Add(request);
  const RequestId good = driver.Add(Ask(Tokens(40, 500), 3));
  const Batch batch = driver.Schedule();
  driver.scheduler.Fail(bad, absl::InternalError("not finite"));
  driver.Apply(batch);
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[bad].reason, FinishReason::kError);
  EXPECT_TRUE(absl::IsInternal(driver.finish[bad].status));
  EXPECT_TRUE(driver.finish[good].status.ok());
}

Request PinOf(std::vector<TokenId> prefix, const std::string& name) {
  Request request = Ask(std::move(prefix), 0);
  request.pin = name;
  return request;
}

TEST(Pins, StayWhileOthersAreEvicted) {
  Driver driver(Options(16));
  driver.Add(PinOf(Tokens(100), "system"));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 3);
  EXPECT_EQ(driver.scheduler.stats().blocks_used, 3);
  for (int i = 0; i < 20; ++i) driver.Add(Ask(Tokens(150, 5000 + 200 * i), 60));
  driver.RunUntilIdle();
  EXPECT_GT(driver.scheduler.stats().preemptions, 0u);
  const RequestId id = driver.Add(Ask(Tokens(120), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[id].cached_tokens, 96);
  EXPECT_TRUE(driver.scheduler.Unpin("system"));
  EXPECT_FALSE(driver.scheduler.Unpin("system"));
  driver.scheduler.CheckInvariants();
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 0);
  EXPECT_EQ(driver.scheduler.stats().blocks_used, 0);
}

TEST(Pins, HoldAQuarterOfThePoolAtMost) {
  Driver driver(Options(16));
  driver.Add(PinOf(Tokens(96), "a"));
  driver.RunUntilIdle();
  const auto refusal = [&](Request request) {
    return driver.scheduler.Add(1000, std::move(request), driver.now);
  };
  EXPECT_TRUE(absl::IsResourceExhausted(refusal(PinOf(Tokens(64, 500), "b"))));
  EXPECT_TRUE(absl::IsInvalidArgument(refusal(PinOf(Tokens(31), "b"))));  // fills no block
  driver.Add(PinOf(Tokens(128, 500), "a"));                               // replaces the older one
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 4);
  driver.scheduler.FlushPrefixCache();
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 0);
  // Each of two alone has room; the second finds it taken when it is computed.
  const RequestId first = driver.Add(PinOf(Tokens(96), "a"));
  const RequestId second = driver.Add(PinOf(Tokens(96, 500), "b"));
  driver.RunUntilIdle();
  EXPECT_TRUE(driver.finish[first].status.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(driver.finish[second].status));
}

TEST(Pins, YieldOnlyToWhatDoesNotFitAloneBesideThem) {
  Driver driver(Options(16));
  driver.Add(PinOf(Tokens(64), "older"));
  driver.RunUntilIdle();
  driver.Add(PinOf(Tokens(64, 500), "newer"));
  driver.RunUntilIdle();
  driver.Add(Ask(Tokens(300, 1000), 30));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 4);
  const RequestId grows = driver.Add(Ask(Tokens(300, 2000), 140));  // to 14 blocks
  driver.RunUntilIdle();
  EXPECT_TRUE(driver.finish[grows].status.ok());
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 2);
  const RequestId all = driver.Add(Ask(Tokens(500, 3000), 10));
  driver.RunUntilIdle();
  EXPECT_TRUE(driver.finish[all].status.ok());
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 0);
}

// The cache finds blocks by their keys, of which two may be the same: then one is not found.
TEST(Pins, TellOfAKeyThatAnotherPrefixHas) {
  SchedulerOptions options = Options(16);
  options.prefix_key = [](uint64_t, absl::Span<const TokenId> tokens) {
    return static_cast<uint64_t>(tokens.front() < 64);
  };
  Driver driver(options);
  driver.Add(Ask(Tokens(32, 500), 1));
  driver.RunUntilIdle();
  for (const int32_t first : {600, 40}) {  // the first block, and one behind it
    const RequestId id = driver.Add(PinOf(Tokens(64, first), "a"));
    driver.RunUntilIdle();
    EXPECT_TRUE(absl::IsUnavailable(driver.finish[id].status)) << driver.finish[id].status;
    EXPECT_THAT(std::string(driver.finish[id].status.message()), testing::HasSubstr("same key"));
  }
  EXPECT_EQ(driver.scheduler.stats().blocks_pinned, 0);
}

TEST(Pins, NeedThePrefixCache) {
  SchedulerOptions options = Options(16);
  options.prefix_cache = false;
  Driver driver(options);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(driver.scheduler.Add(1, PinOf(Tokens(64), "a"), driver.now)));
}

// Each fits alone and both together do not: the younger must not take from the older, nor both
// spend their time computing again what the other made them lose.
TEST(Preemption, TwoThatDoNotFitTogetherDoNotThrash) {
  for (const bool prefix_cache : {true, false}) {
    SchedulerOptions options = Options(8);
    options.prefix_cache = prefix_cache;
    Driver driver(options);
    const RequestId a = driver.Add(Ask(Tokens(20, 0), 237));
    const RequestId b = driver.Add(Ask(Tokens(20, 100), 237));
    const int steps = driver.RunUntilIdle();
    EXPECT_THAT(driver.order, ElementsAre(a, b));
    EXPECT_EQ(driver.tokens[b].size(), 237u);
    EXPECT_LE(steps, 2 * 237 + 4);
    EXPECT_LE(driver.scheduler.stats().preemptions, 2u);
    EXPECT_LE(driver.scheduler.stats().tokens_recomputed, prefix_cache ? 128u : 256u);
    EXPECT_GT(driver.scheduler.stats().tokens_recomputed, prefix_cache ? 0u : 32u);
  }
}

// A newcomer that took the last blocks would lose them at the next block of a running stream.
TEST(Queue, ANewcomerLeavesABlockForEachStream) {
  Driver driver(Options(4));
  driver.Add(Ask(Tokens(30, 0), 20));
  driver.Step();
  const RequestId three_blocks = driver.Add(Ask(Tokens(96, 100), 1));
  driver.Step();
  EXPECT_EQ(driver.scheduler.stats().queued, 1);
  driver.RunUntilIdle();
  EXPECT_TRUE(driver.finish.contains(three_blocks));
  EXPECT_EQ(driver.scheduler.stats().preemptions, 0u);
}

TEST(Queue, ABigRequestIsNotOvertakenForEver) {
  Driver driver(Options(8));
  driver.Add(Ask(Tokens(90, 0), 60));
  driver.Step();
  const RequestId big = driver.Add(Ask(Tokens(200, 1000), 5));
  std::vector<RequestId> small;
  for (int i = 0; i < 30; ++i) {
    small.push_back(driver.Add(Ask(Tokens(3, 5000 + i), 20)));
    driver.Step();
  }
  driver.RunUntilIdle();
  EXPECT_EQ(driver.order[1], big);
}

TEST(Queue, GoesByPriorityThenArrival) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  Driver driver(options);
  const auto ask = [&](Priority priority) {
    Request request = Ask({1}, 1);
    request.priority = priority;
    return driver.Add(request);
  };
  const RequestId low = ask(Priority::kLow), normal = ask(Priority::kNormal);
  const RequestId high = ask(Priority::kHigh), high2 = ask(Priority::kHigh);
  driver.RunUntilIdle();
  EXPECT_THAT(driver.order, ElementsAre(high, high2, normal, low));
}

// A stream of urgent requests that keeps the only slot busy: how many end before the low one.
int UrgentServedBeforeLow(milliseconds ageing) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  options.ageing = ageing;
  Driver driver(options);
  Request low = Ask({1}, 1);
  low.priority = Priority::kLow;
  const RequestId id = driver.Add(low);
  Request high = Ask({2}, 2);
  high.priority = Priority::kHigh;
  for (int i = 0; i < 500 && !driver.finish.contains(id); ++i) {
    if (driver.scheduler.stats().queued < 4) driver.Add(high);
    driver.now += milliseconds(100);
    driver.Step();
  }
  return static_cast<int>(driver.order.size());
}

TEST(Queue, LowPriorityAgesAndEnds) {
  EXPECT_LE(UrgentServedBeforeLow(seconds(2)), 25);  // 4 s are 20 urgent requests of two steps
  EXPECT_GE(UrgentServedBeforeLow(milliseconds(0)), 200);  // without ageing it starves
}

Request From(const std::string& client, TokenId first, int32_t max_tokens = 10) {
  Request request = Ask(Tokens(20, first), max_tokens);
  request.client = client;
  return request;
}

TEST(Fairness, AFloodDelaysAnotherClientByOneRequest) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  Driver driver(options);
  for (int i = 0; i < 50; ++i) driver.Add(From("flood", 100 * i));
  driver.Step();
  for (int i = 0; i < 5; ++i) {
    driver.now += seconds(30);  // ageing must not help the flood
    const RequestId id = driver.Add(From("modest", 9000 + 100 * i));
    const size_t before = driver.order.size();
    driver.StepUntil([&] { return driver.finish.contains(id); });
    EXPECT_LE(driver.order.size() - before, 3u);  // what ran, perhaps one more, and itself
  }
}

TEST(Fairness, ServiceIsSharedByCostNotByCount) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  Driver driver(options);
  std::map<RequestId, std::string> owner;
  for (int i = 0; i < 30; ++i) {
    owner[driver.Add(From("long", 100 * i, 40))] = "long";
    owner[driver.Add(From("short", 50000 + 100 * i, 5))] = "short";
  }
  std::map<std::string, int> ended;
  driver.StepUntil([&] { return driver.order.size() >= 24; });
  for (const RequestId id : driver.order) ++ended[owner[id]];
  // A long one costs 20 + 2 * 40, a short one 20 + 2 * 5.
  EXPECT_NEAR(static_cast<double>(ended["short"]) / ended["long"], 100.0 / 30.0, 0.8);
}

TEST(Fairness, IdlingBanksNoCredit) {
  SchedulerOptions options = Options(64);
  options.max_running = 1;
  Driver driver(options);
  for (int i = 0; i < 20; ++i) driver.Add(From("steady", 100 * i));
  driver.StepUntil([&] { return driver.order.size() >= 10; });
  std::vector<RequestId> late;
  for (int i = 0; i < 10; ++i) late.push_back(driver.Add(From("late", 9000 + 100 * i)));
  driver.StepUntil([&] { return driver.order.size() >= 18; });
  int served = 0;
  for (const RequestId id : late) served += driver.finish.contains(id) ? 1 : 0;
  EXPECT_LE(served, 5);  // half of what was served since it came, not all of it
  EXPECT_GE(served, 3);
}

TEST(PrefixCache, ReusesFullBlocksAndComputesAtLeastOneToken) {
  Driver driver(Options(64));
  driver.Add(Ask(Tokens(100), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_cached, 3);
  const auto cached = [&](std::vector<TokenId> prompt) {
    const RequestId id = driver.Add(Ask(std::move(prompt), 1));
    driver.RunUntilIdle();
    EXPECT_EQ(driver.progress[id].back().cached_tokens, driver.finish[id].cached_tokens);
    return driver.finish[id].cached_tokens;
  };
  EXPECT_EQ(cached(Tokens(100)), 96);
  EXPECT_EQ(cached(Tokens(97)), 96);
  EXPECT_EQ(cached(Tokens(96)), 64);  // the logits of the last token are wanted
  EXPECT_EQ(cached(Tokens(33)), 32);
  EXPECT_EQ(cached(Tokens(32)), 0);
  EXPECT_EQ(cached(Tokens(1)), 0);
  std::vector<TokenId> other = Tokens(100);
  other[40] = 1;
  EXPECT_EQ(cached(other), 32);
  other[0] = 1;
  EXPECT_EQ(cached(other), 0);
  driver.scheduler.FlushPrefixCache();
  EXPECT_EQ(driver.scheduler.stats().blocks_cached, 0);
  EXPECT_EQ(cached(Tokens(100)), 0);
}

TEST(PrefixCache, DifferentSeedsShareNothing) {
  Driver driver(Options(64));
  Request request = Ask(Tokens(100), 1);
  request.prefix_seed = 1;
  driver.Add(request);
  driver.RunUntilIdle();
  request.prefix_seed = 2;
  const RequestId other = driver.Add(request);
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[other].cached_tokens, 0);
}

TEST(PrefixCache, GeneratedTokensAreReusedToo) {
  Driver driver(Options(64));
  const RequestId first = driver.Add(Ask(Tokens(40), 60));
  driver.RunUntilIdle();
  std::vector<TokenId> conversation = Tokens(40);
  conversation.insert(conversation.end(), driver.tokens[first].begin(), driver.tokens[first].end());
  conversation.insert(conversation.end(), 5, 1);
  const RequestId second = driver.Add(Ask(conversation, 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[second].cached_tokens, 96);  // of 99 that were computed
}

TEST(PrefixCache, OffMeansOff) {
  SchedulerOptions options = Options(64);
  options.prefix_cache = false;
  Driver driver(options);
  driver.Add(Ask(Tokens(100), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_cached, 0);
  const RequestId again = driver.Add(Ask(Tokens(100), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[again].cached_tokens, 0);
}

TEST(PrefixCache, EvictsTheLeavesOfTheLeastRecentlyUsedChain) {
  Driver driver(Options(8));
  driver.Add(Ask(Tokens(100, 0), 1));  // three full blocks
  driver.RunUntilIdle();
  driver.Add(Ask(Tokens(100, 1000), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().blocks_cached, 6);
  driver.Add(Ask(Tokens(100, 2000), 1));  // needs four: two are free
  driver.RunUntilIdle();
  const RequestId younger = driver.Add(Ask(Tokens(100, 1000), 1));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[younger].cached_tokens, 96);
  Driver again(Options(8));
  again.Add(Ask(Tokens(100, 0), 1));
  again.RunUntilIdle();
  again.Add(Ask(Tokens(190, 1000), 1));  // six: five are free, so the oldest chain loses its leaf
  again.RunUntilIdle();
  const RequestId older = again.Add(Ask(Tokens(100, 0), 1));
  again.RunUntilIdle();
  EXPECT_EQ(again.finish[older].cached_tokens, 64);
}

TEST(PrefixUnderway, ChoicesAndClientsComputeAPromptOnce) {
  Driver driver(Options(64));
  std::vector<RequestId> ids;
  for (uint32_t choice = 0; choice < 4; ++choice) {
    Request request = Ask(Tokens(100), 3);
    request.choice = choice;
    ids.push_back(driver.Add(request));
  }
  const RequestId unrelated = driver.Add(Ask(Tokens(10, 5000), 3));
  EXPECT_THAT(driver.Step({500, 64}), ElementsAre(ids[0], unrelated));  // it is not held up
  EXPECT_THAT(driver.Step({500, 64}), ElementsAre(ids[0], unrelated));
  EXPECT_EQ(driver.Step({500, 64}).size(), 5u);
  driver.RunUntilIdle();
  EXPECT_EQ(driver.scheduler.stats().prompt_tokens_computed, 100u + 3 * 4 + 10);
  EXPECT_EQ(driver.scheduler.stats().prompt_tokens_cached, 3u * 96);
}

TEST(PrefixUnderway, EndsWithTheSequenceThatComputes) {
  Driver driver(Options(64));
  const RequestId first = driver.Add(Ask(Tokens(100), 3));
  const RequestId second = driver.Add(Ask(Tokens(100), 3));
  EXPECT_THAT(driver.Step({40, 40}), ElementsAre(first));
  driver.scheduler.Cancel(first, absl::CancelledError("client gone"));
  EXPECT_THAT(driver.Step({40, 40}), ElementsAre(second));
  driver.RunUntilIdle();
  EXPECT_EQ(driver.finish[second].cached_tokens, 32);  // what the first had published
  EXPECT_EQ(driver.tokens[second].size(), 3u);
}

TEST(PrefixUnderway, EndsWithPreemption) {
  Driver driver(Options(6));
  Request urgent = Ask(Tokens(60, 5000), 100);  // grows from two blocks to five
  urgent.priority = Priority::kHigh;
  const RequestId stream = driver.Add(urgent);
  driver.Step();
  const RequestId first = driver.Add(Ask(Tokens(80), 3));
  const RequestId second = driver.Add(Ask(Tokens(80), 3));
  driver.RunUntilPreemption({2, 1});
  EXPECT_EQ(driver.scheduler.stats().queued, 2);
  driver.RunUntilIdle();
  EXPECT_THAT(driver.order, ElementsAre(stream, first, second));
  EXPECT_EQ(driver.finish[second].cached_tokens, 64);
}

TEST(Stats, AddUp) {
  Driver driver(Options(10));
  driver.Add(Ask(Tokens(40), 3));
  driver.Step();
  SchedulerStats stats = driver.scheduler.stats();
  EXPECT_EQ(stats.running, 1);
  EXPECT_EQ(stats.blocks_total, 10);
  EXPECT_EQ(stats.blocks_used, 2);
  EXPECT_EQ(stats.prompt_tokens_computed, 40u);
  EXPECT_EQ(stats.tokens_generated, 1u);
  EXPECT_EQ(driver.scheduler.request(driver.last_id).max_tokens, 3);
  driver.RunUntilIdle();
  stats = driver.scheduler.stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.blocks_used, 0);
  EXPECT_EQ(stats.blocks_cached, 1);
  EXPECT_EQ(stats.tokens_generated, 3u);
}

TEST(SchedulerDeathTest, OurOwnBugsAbort) {
  Driver driver(Options(10));
  driver.Add(Ask(Tokens(4), 3));
  const Batch batch = driver.Schedule();
  EXPECT_DEATH(driver.scheduler.Apply(batch, {}), "check failed");
  driver.Apply(batch);
  const std::vector<Drawn> drawn = {Token{kDrawn, {}, {}}};
  EXPECT_DEATH(driver.scheduler.Apply(batch, drawn), "check failed");
  EXPECT_DEATH((void)driver.scheduler.Add(1, Ask({1}, 1), driver.now), "check failed");
  EXPECT_DEATH((void)driver.scheduler.Add(0, Ask({1}, 1), driver.now), "check failed");
}

}  // namespace
}  // namespace hearth
