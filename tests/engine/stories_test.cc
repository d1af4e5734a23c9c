// A real, trained model: stories260K against the text and the float64 logits of its own
// reference (shared test data; skipped without it).
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/fakes/collecting_sink.h"

namespace hearth {
namespace {

class Stories : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(Data("models/stories260K.f32.gguf"))) {
      GTEST_SKIP() << "no test data at " << HEARTH_SHARED_DATA;
    }
    EngineOptions options;
    options.model_path = Data("models/stories260K.f32.gguf");
    auto loaded = Engine::Load(options);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    engine_ = std::move(*loaded);
  }

  static std::string Data(const std::string& name) {
    return absl::StrCat(HEARTH_SHARED_DATA, "/", name);
  }
  static std::string Read(const std::string& name) {
    std::ifstream file(Data(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  static Request FromNothing() {
    Request request;
    request.prompt = {1};  // BOS alone
    request.max_tokens = 199;
    request.sampling.temperature = 0;
    return request;
  }
  std::string Text(const std::vector<TokenId>& tokens) {
    StreamDecoder decoder(engine_->tokenizer(), /*drop_leading_space=*/true);
    std::string text;
    for (TokenId id : tokens) text += decoder.Push(id);
    return text + decoder.Flush();
  }

  std::unique_ptr<Engine> engine_;
};

// The reference ran 200 steps from BOS, which is 200 tokens; 199 lack the last word.
TEST_F(Stories, GreedyTextEqualsTheReference) {
  std::string golden = Read("golden/stories260K_greedy_n200.txt");
  while (!golden.empty() && golden.back() == '\n') golden.pop_back();
  for (const auto& [tokens, text] :
       {std::pair(200, golden), std::pair(199, golden.substr(0, golden.size() - 4))}) {
    auto sink = std::make_shared<CollectingSink>();
    Request request = FromNothing();
    request.max_tokens = tokens;
    ASSERT_TRUE(engine_->Submit(request, sink).ok());
    const Finish finish = sink->Wait();
    ASSERT_TRUE(finish.status.ok()) << finish.status;
    EXPECT_EQ(Text(sink->tokens()), text);
  }
}

TEST_F(Stories, LogitsAgreeWithTheFloat64Reference) {
  const nlohmann::json golden = nlohmann::json::parse(Read("golden/stories260K_logits.json"));
  std::mutex mutex;
  std::vector<std::vector<float>> rows;
  engine_->set_logit_observer([&](RequestId, int64_t, absl::Span<const float> logits) {
    const std::lock_guard lock(mutex);
    rows.emplace_back(logits.begin(), logits.end());
  });
  auto sink = std::make_shared<CollectingSink>();
  Request request = FromNothing();
  request.max_tokens = static_cast<int32_t>(golden["steps"].size());
  ASSERT_TRUE(engine_->Submit(request, sink).ok());
  ASSERT_TRUE(sink->Wait().status.ok());
  ASSERT_EQ(rows.size(), golden["steps"].size());
  double worst = 0;
  for (size_t step = 0; step < rows.size(); ++step) {
    const nlohmann::json& expected = golden["steps"][step];
    for (const nlohmann::json& top : expected["top5"]) {
      const double difference = std::abs(rows[step][top[0].get<size_t>()] - top[1].get<double>());
      EXPECT_LT(difference, 1e-3) << "step " << step << " token " << top[0];
      worst = std::max(worst, difference);
    }
    if (expected.contains("logits")) {
      for (size_t i = 0; i < rows[step].size(); ++i) {
        EXPECT_NEAR(rows[step][i], expected["logits"][i].get<double>(), 1e-3)
            << "step " << step << " token " << i;
      }
    }
  }
  RecordProperty("worst_difference", std::to_string(worst));
}

TEST_F(Stories, SixteenAtOnceGiveTheSameText) {
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (int i = 0; i < 16; ++i) {
    sinks.push_back(std::make_shared<CollectingSink>());
    ASSERT_TRUE(engine_->Submit(FromNothing(), sinks.back()).ok());
  }
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->Wait().status.ok());
    EXPECT_EQ(sink->tokens(), sinks[0]->tokens());
  }
  EXPECT_EQ(sinks[0]->tokens().size(), 199u);
}

}  // namespace
}  // namespace hearth
