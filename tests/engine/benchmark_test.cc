#include "engine/benchmark.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

TEST(Spread, MedianLeastAndMost) {
  const Spread odd = SpreadOf({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 3);
  EXPECT_EQ(SpreadOf({4, 1, 3, 2}).median, 2.5);
  EXPECT_EQ(SpreadOf({7}).median, 7);
}

TEST(QuantilesOf, AreValuesThatSoManyDoNotExceed) {
  std::vector<double> values;
  for (int i = 200; i > 0; --i) values.push_back(i);
  const Quantiles q = QuantilesOf(values);
  EXPECT_EQ(q.p50, 100);
  EXPECT_EQ(q.p95, 190);
  EXPECT_EQ(q.p99, 198);
  const Quantiles few = QuantilesOf({1, 2, 3});
  EXPECT_EQ(few.p50, 2);
  EXPECT_EQ(few.p95, 3);
  EXPECT_EQ(few.p99, 3);
  EXPECT_EQ(QuantilesOf({5}).p50, 5);
}

const MachineLimits kLimits = {
    .isa = "any", .threads = 1, .read_bytes_per_second = 1e9, .int8_products_per_second = 1e9};

absl::StatusOr<std::unique_ptr<Engine>> Load(const BenchmarkOptions& benchmark,
                                             const char* model = "tiny-q4_0-head-q8_0") {
  EngineOptions options = BenchmarkEngineOptions(benchmark);
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/", model, ".gguf");
  options.threads = 1;
  return Engine::Load(options);
}

std::vector<BenchmarkRow> RunAll(const BenchmarkOptions& options,
                                 const char* model = "tiny-q4_0-head-q8_0") {
  const auto engine = Load(options, model);
  EXPECT_TRUE(engine.ok()) << engine.status();
  std::vector<BenchmarkRow> rows;
  const absl::Status status = RunBenchmark(**engine, options, kLimits,
                                           [&](const BenchmarkRow& row) { rows.push_back(row); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ((*engine)->stats().preemptions, 0u);  // else decoding would have been interrupted
  return rows;
}

BenchmarkOptions Small() {
  BenchmarkOptions options;
  options.prompts = {40, 70};
  options.streams = {1, 3};
  options.depths = {0, 65};
  options.generate = 5;
  options.repeat = 2;
  return options;
}

TEST(Benchmark, RunsEachTestInEachSize) {
  const std::vector<BenchmarkRow> rows = RunAll(Small());
  ASSERT_EQ(rows.size(), 2u + 2 * 2 + 2 * 2 * 2);
  int i = 0;
  for (int32_t prompt : {40, 70}) {
    EXPECT_EQ(rows[i].test, BenchmarkTest::kPrefill);
    EXPECT_EQ(rows[i++].prompt, prompt);
  }
  for (int32_t depth : {0, 65}) {
    for (int32_t streams : {1, 3}) {
      EXPECT_EQ(rows[i].test, BenchmarkTest::kDecode);
      EXPECT_EQ(rows[i].depth, depth);
      EXPECT_EQ(rows[i++].streams, streams);
    }
  }
  for (; i < static_cast<int>(rows.size()); ++i) EXPECT_EQ(rows[i].test, BenchmarkTest::kMixed);
}

TEST(Benchmark, CountsAddUp) {
  for (const BenchmarkRow& row : RunAll(Small())) {
    EXPECT_EQ(row.runs, 2);
    EXPECT_EQ(row.cached_tokens, 0);  // prompts are new
    EXPECT_EQ(row.prefill_rate.has_value(), row.test != BenchmarkTest::kDecode);
    EXPECT_EQ(row.decode_rate.has_value(), row.test != BenchmarkTest::kPrefill);
    if (row.test == BenchmarkTest::kDecode) {
      EXPECT_EQ(row.decoded_tokens, 2 * 5 * *row.streams);  // runs, steps, streams
    } else if (row.test == BenchmarkTest::kMixed) {
      EXPECT_EQ(row.decoded_tokens % *row.streams, 0);
    }
    for (const auto& spread : {row.prefill_rate, row.decode_rate, std::optional(row.of_limit)}) {
      if (!spread) continue;
      EXPECT_GE(spread->least, 0);
      EXPECT_LE(spread->least, spread->median);
      EXPECT_LE(spread->median, spread->most);
      EXPECT_TRUE(std::isfinite(spread->most));
    }
    if (row.inter_token) {
      EXPECT_LE(row.inter_token->p50, row.inter_token->p95);
      EXPECT_LE(row.inter_token->p95, row.inter_token->p99);
    }
  }
}

TEST(Benchmark, SharedPrefixesAreCached) {
  BenchmarkOptions options = Small();
  options.tests = {BenchmarkTest::kPrefill};
  options.prompts = {100};
  options.shared_prefix = 70;
  const std::vector<BenchmarkRow> rows = RunAll(options);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].cached_tokens, 2 * 64);  // of each run the whole blocks
}

// At the limits that are given the work would take so long; what is left out of it makes the
// fraction smaller, never greater.
TEST(Benchmark, TheLimitIsOfReadingForOneStreamAndOfProductsForAPrompt) {
  BenchmarkOptions options = Small();
  options.tests = {BenchmarkTest::kPrefill, BenchmarkTest::kDecode};
  options.streams = {1};
  for (const BenchmarkRow& row : RunAll(options)) {
    EXPECT_EQ(row.bound_by_reading, row.test == BenchmarkTest::kDecode);
    EXPECT_GT(row.of_limit.least, 0);
  }
  // No int8 weights, no products to count.
  for (const BenchmarkRow& row : RunAll(options, "tiny-f32")) EXPECT_TRUE(row.bound_by_reading);
}

TEST(Benchmark, WorkIsWhatTheFileHolds) {
  BenchmarkOptions options = Small();
  const auto engine = Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const ModelInfo& info = (*engine)->info();
  // tests/tools: tiny has 4 layers of width 128, 256 wide qkv, 320 wide feed-forward.
  EXPECT_EQ(info.work.token_products, 4 * 128 * (256 + 128 + 3 * 320));
  EXPECT_EQ(info.work.logits_products, 128 * info.vocab_size);
  EXPECT_EQ(info.work.step_bytes, info.memory.weights);  // the head is the embedding
  const auto f32 = Load(options, "tiny-f32");
  ASSERT_TRUE(f32.ok()) << f32.status();
  EXPECT_EQ((*f32)->info().work.token_products, 0);
}

TEST(Benchmark, RefusesWhatTheModelCannotHold) {
  BenchmarkOptions options = Small();
  options.depths = {5000};
  EXPECT_TRUE(absl::IsFailedPrecondition(Load(options).status())) << Load(options).status();
}

}  // namespace
}  // namespace hearth
