#include "engine/memory_plan.h"

#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/constrain/matcher.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

// As if measured: what is resident changes between two plans, which a test of sizes must not see.
constexpr uint64_t kProcessBytes = 30u << 20;

EngineOptions Tiny() {
  EngineOptions options;
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q4_0.gguf");
  return options;
}

TEST(MemoryPlan, M25_RefusesWhatDoesNotFitWithTheArithmetic) {
  EngineOptions options = Tiny();
  options.memory_limit = 1 << 20;
  const absl::Status status = Engine::Load(options).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("weights"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1048576 bytes available"));
}

TEST(MemoryPlan, AChosenCacheSizeIsKeptOrRefused) {
  EngineOptions options = Tiny();
  options.kv_tokens = 1 << 20;
  options.memory_limit = 200u << 20;
  EXPECT_TRUE(absl::IsResourceExhausted(Engine::Load(options).status()));
  options.kv_tokens = 1000;
  const auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->info().memory.kv_tokens, 1024) << "whole blocks";
}

TEST(MemoryPlan, TheDefaultCacheShrinksToTheLimit) {
  EngineOptions options = Tiny();
  const auto checkpoint = OpenCheckpoint(options.model_path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto whole = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->memory.kv_tokens, 8192);
  const auto later = PlanMemory(*checkpoint, options, kProcessBytes + 1000);
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->memory.total(), whole->memory.total() + 1000);
  options.memory_limit = whole->memory.total() - whole->memory.kv / 2;
  const auto half = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_LT(half->memory.kv_tokens, 8192);
  EXPECT_GE(half->memory.kv_tokens, 2048);
  EXPECT_LE(half->memory.total(), options.memory_limit);
}

// What each request may hold is planned for all that may be under way, masks for the rows of a
// step.
TEST(MemoryPlan, CountsWhatRequestsHold) {
  EngineOptions options = Tiny();
  const auto checkpoint = OpenCheckpoint(options.model_path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto plan = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(plan.ok()) << plan.status();
  options.max_queued += 100;
  const auto more = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_GE(more->memory.buffers, plan->memory.buffers + 100 * Matcher::kBytes);
  options.max_logit_rows = plan->limits.max_logit_rows + 100;
  const auto rows = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_GE(rows->memory.buffers, more->memory.buffers +
                                      100 * checkpoint->hparams.vocab * sizeof(float) +
                                      100 * checkpoint->hparams.vocab / 8);
}

TEST(MemoryPlan, AnAskedContextIsKeptOrRefused) {
  EngineOptions options = Tiny();
  const auto checkpoint = OpenCheckpoint(options.model_path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  options.max_context = checkpoint->hparams.context;
  const auto plan = PlanMemory(*checkpoint, options, kProcessBytes);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->limits.max_context, checkpoint->hparams.context);
  options.memory_limit = plan->memory.total() - plan->memory.kv;  // nothing left to shrink to
  EXPECT_TRUE(absl::IsResourceExhausted(PlanMemory(*checkpoint, options, kProcessBytes).status()));
  options.memory_limit = 0;
  options.max_context += 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(PlanMemory(*checkpoint, options, kProcessBytes).status()));
  options.max_context = 512;
  options.kv_tokens = 256;
  EXPECT_TRUE(absl::IsFailedPrecondition(PlanMemory(*checkpoint, options, kProcessBytes).status()));
}

TEST(MemoryPlan, ResidentStaysWithinThePlan) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep shadow memory of their own";
#endif
  EngineOptions options = Tiny();
  options.kv_tokens = 16384;
  const auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  EXPECT_LE(resident * sysconf(_SC_PAGESIZE), (*engine)->info().memory.total());
}

}  // namespace
}  // namespace hearth
