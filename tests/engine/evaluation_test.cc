#include "engine/evaluation.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

std::unique_ptr<Engine> Load(const char* type, std::optional<KvType> kv_type = {}) {
  EngineOptions options = EvaluationOptions(512);
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-", type, ".gguf");
  options.kv_type = kv_type;
  auto engine = Engine::Load(options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

std::vector<Passage> Passages() {
  std::vector<Passage> passages;
  uint32_t x = 1;
  for (const size_t length : {2, 33, 150, 300}) {
    Passage passage;
    while (passage.tokens.size() < length) {
      x = x * 1664525u + 1013904223u;
      passage.tokens.push_back(static_cast<TokenId>((x >> 8) % 900));
    }
    passage.first_scored = static_cast<int32_t>(length / 2);
    passages.push_back(std::move(passage));
  }
  return passages;
}

TEST(Evaluation, ScoresEachTokenOnce) {
  const auto engine = Load("f32");
  const auto result = Evaluate(*engine, nullptr, Passages());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->scored_tokens, 1 + 17 + 75 + 150);
  EXPECT_FALSE(result->divergence.has_value());
  // Random weights know nothing: about as good as drawing from the whole vocabulary.
  EXPECT_GT(result->perplexity, engine->info().vocab_size / 4.0);
  EXPECT_LT(result->perplexity, engine->info().vocab_size * 4.0);
}

TEST(Evaluation, AModelDoesNotDivergeFromItself) {
  const auto subject = Load("f32");
  const auto reference = Load("f32");
  const auto result = Evaluate(*subject, reference.get(), Passages());
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(result->divergence.has_value());
  EXPECT_EQ(result->divergence->max_kl, 0);
  EXPECT_EQ(result->divergence->same_top, 1);
  EXPECT_EQ(result->divergence->reference_perplexity, result->perplexity);
}

TEST(Evaluation, CoarserTypesDivergeMore) {
  const auto reference = Load("f32");
  double last = 0;
  for (const char* type : {"f16", "q8_0", "q4_0"}) {
    const auto subject = Load(type, KvType::kF16);
    const auto result = Evaluate(*subject, reference.get(), Passages());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->divergence->mean_kl, last) << type;
    EXPECT_LE(result->divergence->mean_kl, result->divergence->p99_kl) << type;
    EXPECT_LE(result->divergence->p99_kl, result->divergence->max_kl) << type;
    last = result->divergence->mean_kl;
  }
  EXPECT_LT(last, 0.3);
}

TEST(Evaluation, RefusesWhatDoesNotFit) {
  const auto engine = Load("f32");
  const Passage longer{std::vector<TokenId>(engine->info().max_context + 1, 1)};
  EXPECT_TRUE(absl::IsInvalidArgument(Evaluate(*engine, nullptr, {longer}).status()));
}

}  // namespace
}  // namespace hearth
