// The forward pass against an independent one: the shipped demo model's weights in F32, and the
// logits that deploy/demo/train/parity.py computed from them with PyTorch in float64, checked
// there against transformers' Phi3ForCausalLM.
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "gtest/gtest.h"
#include "tests/fakes/collecting_sink.h"

namespace hearth {
namespace {

struct Variant {
  const char* model;
  const char* goldens;
};
void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.goldens; }

class Parity : public testing::TestWithParam<Variant> {};

// By position of the token they were computed at.
using Rows = std::map<int64_t, std::vector<float>>;

Rows LogitsOf(Engine& engine, const std::vector<TokenId>& tokens) {
  Rows rows;
  engine.set_logit_observer([&](RequestId, int64_t position, absl::Span<const float> logits) {
    rows[position - 1].assign(logits.begin(), logits.end());
  });
  Request request;
  request.prompt = tokens;
  request.prompt_logits_from = 0;
  request.max_tokens = 1;
  auto sink = std::make_shared<CollectingSink>();
  EXPECT_TRUE(engine.Submit(request, sink).ok());
  EXPECT_TRUE(sink->Wait().status.ok());
  return rows;
}

TEST_P(Parity, LogitsAgreeWithPyTorch) {
  EngineOptions options;
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/", GetParam().model);
  options.max_logit_rows = 64;
  auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::ifstream file(
      absl::StrCat(HEARTH_SOURCE_DIR, "/deploy/demo/train/goldens/", GetParam().goldens));
  const nlohmann::json goldens = nlohmann::json::parse(file);
  ASSERT_FALSE(goldens["cases"].empty());
  for (const nlohmann::json& golden : goldens["cases"]) {
    const auto tokens = golden["tokens"].get<std::vector<TokenId>>();
    const Rows rows = LogitsOf(**engine, tokens);
    ASSERT_EQ(rows.size(), tokens.size());
    double worst = 0;
    const auto compare = [&](const nlohmann::json& row, size_t i, size_t id) {
      const double expected = row["logits"][i];
      worst = std::max(worst, std::abs(rows.at(row["position"])[id] - expected));
    };
    for (const nlohmann::json& row : golden["top"]) {
      for (size_t i = 0; i < row["ids"].size(); ++i) compare(row, i, row["ids"][i]);
    }
    const nlohmann::json& full = golden["full"];
    for (size_t i = 0; i < full["logits"].size(); ++i) compare(full, i, i);
    EXPECT_LT(worst, 1e-4) << tokens.size() << " tokens";
    RecordProperty(absl::StrCat("worst_", tokens.size()), absl::StrCat(worst));
  }
}

// The last golden row of each text foretells a token after it, whichever that is.
TEST_P(Parity, PromptLogprobsAgreeWithPyTorch) {
  EngineOptions options;
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/", GetParam().model);
  auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::ifstream file(
      absl::StrCat(HEARTH_SOURCE_DIR, "/deploy/demo/train/goldens/", GetParam().goldens));
  const nlohmann::json goldens = nlohmann::json::parse(file);
  for (const nlohmann::json& golden : goldens["cases"]) {
    const auto logits = golden["full"]["logits"].get<std::vector<double>>();
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    const int32_t position = golden["full"]["position"].get<int32_t>() + 1;
    Request request;
    request.prompt = golden["tokens"].get<std::vector<TokenId>>();
    request.prompt.resize(position);
    request.prompt.push_back(17);
    request.prompt_logits_from = position;
    request.top_logprobs = 20;
    auto sink = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*engine)->Submit(request, sink).ok());
    ASSERT_TRUE(sink->Wait().status.ok());
    const std::vector<PromptTokens> foretold = sink->prompt_tokens();
    ASSERT_EQ(foretold.size(), 1u);
    ASSERT_EQ(foretold[0].first, position);
    ASSERT_EQ(foretold[0].tokens.size(), 1u);
    const Token& token = foretold[0].tokens[0];
    EXPECT_EQ(token.id, 17);
    EXPECT_NEAR(token.logprob.logprob, logits[17] - std::log(sum), 1e-4);
    ASSERT_EQ(token.top.size(), 20u);
    for (const TokenLogprob& entry : token.top) {
      EXPECT_NEAR(entry.logprob, logits[entry.token] - std::log(sum), 1e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    BothSidesOfTheRopeSwitch, Parity,
    testing::Values(Variant{"demo-f32.gguf", "as_shipped.json"},
                    Variant{"demo-f32-original-256.gguf", "original_256.json"}),
    [](const auto& test) { return test.index == 0 ? "AsShipped" : "Switched"; });

}  // namespace
}  // namespace hearth
