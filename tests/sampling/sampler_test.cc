#include "engine/sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <vector>

namespace hearth {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Request Greedy() {
  Request request;
  request.prompt = {0};
  request.sampling.temperature = 0;
  return request;
}

Request AtTemperature(float temperature) {
  Request request = Greedy();
  request.sampling.temperature = temperature;
  return request;
}

absl::StatusOr<Token> Draw(const Request& request, std::vector<float> logits, int64_t position = 1,
                           int32_t output_index = 0) {
  Sampler sampler(request, static_cast<int32_t>(logits.size()));
  return sampler.Draw(absl::MakeSpan(logits), position, output_index);
}

// How often each token is drawn over many positions.
std::map<TokenId, int> Counts(const Request& request, const std::vector<float>& logits,
                              int draws = 20000) {
  std::map<TokenId, int> counts;
  Sampler sampler(request, static_cast<int32_t>(logits.size()));
  for (int position = 0; position < draws; ++position) {
    std::vector<float> row = logits;
    ++counts[sampler.Draw(absl::MakeSpan(row), position, 0)->id];
  }
  return counts;
}

double ChiSquare(const std::map<TokenId, int>& counts, const std::vector<double>& expected) {
  int draws = 0;
  for (const auto& [token, count] : counts) draws += count;
  const double total = std::accumulate(expected.begin(), expected.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double mean = draws * expected[i] / total;
    const auto found = counts.find(static_cast<TokenId>(i));
    const double seen = found == counts.end() ? 0 : found->second;
    if (mean == 0) {
      EXPECT_EQ(seen, 0) << "token " << i;
    } else {
      sum += (seen - mean) * (seen - mean) / mean;
    }
  }
  return sum;
}

const std::vector<float> kRow = {1.0f, 3.0f, -2.0f, 2.5f, 0.0f, 3.0f, 1.5f};

std::vector<double> Weights(const std::vector<float>& logits, double temperature) {
  std::vector<double> weights;
  for (const float logit : logits) weights.push_back(std::exp(logit / temperature));
  return weights;
}

constexpr double kChiSquare6 = 22.5;  // 6 degrees of freedom, p = 0.001

TEST(Draw, GreedyTakesTheLargestAndOfEqualsTheLowestId) {
  EXPECT_EQ(Draw(Greedy(), kRow)->id, 1);
  EXPECT_EQ(Draw(Greedy(), {-kInfinity, -5, -kInfinity})->id, 1);
  EXPECT_EQ(Draw(Greedy(), {-0.0f, 0.0f})->id, 0);
  EXPECT_EQ(Draw(Greedy(), {0.0f, -0.0f})->id, 0);
  std::vector<float> row(200064, -1.0f);
  for (const TokenId place : {0, 1, 63, 64, 65, 199999, 200063}) {
    row[place] = 2.0f;
    EXPECT_EQ(Draw(Greedy(), row)->id, place);
    row[place] = -1.0f;
  }
}

TEST(Draw, F21_NanAndInfinityAreErrorsWhereverTheyAre) {
  for (const size_t size : {1u, 5u, 64u, 1000u}) {
    for (const size_t place : {size_t{0}, size / 2, size - 1}) {
      for (const float bad : {kNaN, -kNaN, kInfinity}) {
        std::vector<float> row(size, 1.0f);
        row[place] = bad;
        for (Request request : {Greedy(), AtTemperature(1)}) {
          EXPECT_EQ(Draw(request, row).status().code(), absl::StatusCode::kInternal);
          request.top_logprobs = 2;
          EXPECT_EQ(Draw(request, row).status().code(), absl::StatusCode::kInternal);
        }
      }
    }
  }
}

TEST(Draw, F21_ABanDoesNotHideANan) {
  Request request = Greedy();
  request.stop_tokens = {1};
  request.min_tokens = 5;
  EXPECT_FALSE(Draw(request, {0, kNaN, 0}).ok());
}

TEST(Draw, F21_P31_EverythingExcludedIsAnError) {
  for (Request request : {Greedy(), AtTemperature(1)}) {
    EXPECT_EQ(Draw(request, {-kInfinity, -kInfinity}).status().code(), absl::StatusCode::kInternal);
    request.stop_tokens = {0, 1};
    request.min_tokens = 1;
    request.top_logprobs = 3;
    EXPECT_EQ(Draw(request, {1, 2}).status().code(), absl::StatusCode::kInternal);
  }
}

TEST(Draw, TheSamplerGoesOnAfterAnError) {
  const Request request = AtTemperature(1);
  Sampler sampler(request, 3);
  std::vector<float> bad = {0, kNaN, 0}, good = {0, 5, 0}, same = good;
  EXPECT_FALSE(sampler.Draw(absl::MakeSpan(bad), 1, 0).ok());
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(good), 2, 1)->id, Draw(request, same, 2, 1)->id);
}

TEST(Temperature, DrawsFollowTheDistribution) {
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    const Request request = AtTemperature(temperature);
    EXPECT_LT(ChiSquare(Counts(request, kRow), Weights(kRow, temperature)), kChiSquare6);
  }
}

TEST(Temperature, AChiSquareTestThatCanFail) {
  EXPECT_GT(ChiSquare(Counts(AtTemperature(1.0f), kRow), Weights(kRow, 1.2)), 100);
}

TEST(Temperature, NearZeroIsGreedyUpToTies) {
  const auto counts = Counts(AtTemperature(1e-6f), kRow, 1000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(1), 1u);
  EXPECT_EQ(counts.count(5), 1u);
}

TEST(Draw, IsAFunctionOfSeedChoiceAndPosition) {
  std::vector<float> row(1000);
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i % 7);
  Request request = AtTemperature(1);
  std::vector<TokenId> first, again, other_seed, other_choice;
  Sampler sampler(request, 1000);
  for (int position = 0; position < 50; ++position) {
    std::vector<float> copy = row;
    first.push_back(sampler.Draw(absl::MakeSpan(copy), position, position)->id);
  }
  for (int position = 49; position >= 0; --position) {  // in whatever order, by whichever sampler
    again.insert(again.begin(), Draw(request, row, position, position)->id);
  }
  EXPECT_EQ(first, again);
  request.choice = 1;
  for (int p = 0; p < 50; ++p) other_choice.push_back(Draw(request, row, p, p)->id);
  request.choice = 0;
  request.sampling.seed = 1;
  for (int p = 0; p < 50; ++p) other_seed.push_back(Draw(request, row, p, p)->id);
  EXPECT_NE(first, other_choice);
  EXPECT_NE(first, other_seed);
  EXPECT_GT(std::set<TokenId>(first.begin(), first.end()).size(), 30u);
}

TEST(TopK, KeepsTheMostLikely) {
  Request request = AtTemperature(1);
  std::vector<double> weights = Weights(kRow, 1);
  request.sampling.top_k = 3;
  EXPECT_LT(ChiSquare(Counts(request, kRow), {0, weights[1], 0, weights[3], 0, weights[5], 0}),
            13.8);
  request.sampling.top_k = 1;
  EXPECT_EQ(Counts(request, kRow, 200), (std::map<TokenId, int>{{1, 200}}));
  request.sampling.top_k = 100;
  EXPECT_LT(ChiSquare(Counts(request, kRow), weights), kChiSquare6);
}

TEST(TopP, KeepsTheFewestThatReachIt) {
  Request request = AtTemperature(1);
  const std::vector<float> row = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const auto kept = [&](float top_p) {
    request.sampling.top_p = top_p;
    return Counts(request, row, 2000).size();
  };
  EXPECT_EQ(kept(1e-6f), 1u);
  EXPECT_EQ(kept(0.49f), 1u);
  EXPECT_EQ(kept(0.51f), 2u);  // the one that crosses is included
  EXPECT_EQ(kept(0.79f), 2u);
  EXPECT_EQ(kept(0.81f), 3u);
  EXPECT_EQ(kept(0.96f), 4u);
  EXPECT_EQ(kept(1.0f), 4u);
  request.sampling.top_p = 0.6f;
  EXPECT_LT(ChiSquare(Counts(request, row), {0.5, 0.3, 0, 0}), 10.8);
}

TEST(TopP, CountsProbabilityAfterTemperatureAndTopK) {
  Request request = AtTemperature(1);
  const std::vector<float> row = {std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
  request.sampling.top_p = 0.5f;
  EXPECT_EQ(Counts(request, row, 2000).size(), 2u);
  request.sampling.top_k = 2;  // of the two, the first has 0.57
  EXPECT_EQ(Counts(request, row, 2000).size(), 1u);
  request.sampling.top_k = 0;
  request.sampling.temperature = 0.5f;  // 0.53
  EXPECT_EQ(Counts(request, row, 2000).size(), 1u);
}

TEST(MinP, IsRelativeToTheMostLikely) {
  Request request = AtTemperature(1);
  const std::vector<float> row = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const auto kept = [&](float min_p) {
    request.sampling.min_p = min_p;
    return Counts(request, row, 2000).size();
  };
  EXPECT_EQ(kept(0.0f), 4u);
  EXPECT_EQ(kept(0.09f), 4u);
  EXPECT_EQ(kept(0.11f), 3u);
  EXPECT_EQ(kept(0.31f), 2u);
  EXPECT_EQ(kept(0.61f), 1u);
  EXPECT_EQ(kept(1.0f), 1u);
  EXPECT_EQ(Counts(request, {2, 2, 1}, 500).size(), 2u);  // min_p = 1 keeps ties
}

TEST(LogitBias, IsAddedFirstAndIgnoresForeignTokens) {
  Request request = Greedy();
  request.sampling.logit_bias = {{4, 100.0f}, {-1, 100.0f}, {7, 100.0f}, {2147483647, 1.0f}};
  EXPECT_EQ(Draw(request, kRow)->id, 4);
  request.sampling.logit_bias = {{1, -100.0f}, {5, -100.0f}};
  EXPECT_EQ(Draw(request, kRow)->id, 3);
  // Before the repetition penalty: -1 + 2 is positive, so it is divided.
  request = Greedy();
  request.prompt = {0};
  request.sampling.repetition_penalty = 0.5f;
  request.sampling.logit_bias = {{0, 2.0f}};
  EXPECT_EQ(Draw(request, {-1.0f, 1.5f})->id, 0);
}

TEST(RepetitionPenalty, CoversPromptAndOutputOnce) {
  Request request = Greedy();
  request.prompt = {1, 1, 5};
  request.sampling.repetition_penalty = 2.0f;
  Sampler sampler(request, 7);
  std::vector<float> row = kRow;  // 3 / 2 for tokens 1 and 5
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(row), 3, 0)->id, 3);
  EXPECT_FLOAT_EQ(row[1], 1.5f);
  EXPECT_FLOAT_EQ(row[5], 1.5f);
  sampler.Accept(3);
  sampler.Accept(1);
  row = kRow;
  row[2] = 2.4f;
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(row), 5, 2)->id, 2);
  EXPECT_FLOAT_EQ(row[1], 1.5f);  // seen twice over, penalised once
  EXPECT_FLOAT_EQ(row[3], 1.25f);
  sampler.Accept(2);
  row = kRow;
  ASSERT_TRUE(sampler.Draw(absl::MakeSpan(row), 6, 3).ok());
  EXPECT_FLOAT_EQ(row[2], -4.0f);  // negative logits are multiplied
}

TEST(FrequencyAndPresence, CountTheOutputOnly) {
  Request request = Greedy();
  request.prompt = {1, 1, 1};
  request.sampling.frequency_penalty = 0.25f;
  request.sampling.presence_penalty = 0.5f;
  Sampler sampler(request, 7);
  std::vector<float> row = kRow;
  ASSERT_TRUE(sampler.Draw(absl::MakeSpan(row), 3, 0).ok());
  EXPECT_EQ(row, kRow);
  sampler.Accept(1);
  sampler.Accept(1);
  sampler.Accept(4);
  row = kRow;
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(row), 6, 3)->id, 5);
  EXPECT_FLOAT_EQ(row[1], 3.0f - 2 * 0.25f - 0.5f);
  EXPECT_FLOAT_EQ(row[4], 0.0f - 0.25f - 0.5f);
  EXPECT_FLOAT_EQ(row[5], 3.0f);
}

TEST(FrequencyAndPresence, LeaveThePromptAloneBesideARepetitionPenalty) {
  Request request = Greedy();
  request.prompt = {1};
  request.sampling.repetition_penalty = 1.5f;
  request.sampling.presence_penalty = 0.5f;
  std::vector<float> row = kRow;
  Sampler sampler(request, 7);
  ASSERT_TRUE(sampler.Draw(absl::MakeSpan(row), 1, 0).ok());
  EXPECT_FLOAT_EQ(row[1], 3.0f / 1.5f);
}

TEST(FrequencyAndPresence, NegativeValuesFavourRepetition) {
  Request request = Greedy();
  request.sampling.frequency_penalty = -2.0f;
  Sampler sampler(request, 7);
  sampler.Accept(6);
  std::vector<float> row = kRow;
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(row), 2, 1)->id, 6);
}

TEST(MinTokens, BansStopTokensUntilEnoughWereDrawn) {
  Request request = Greedy();
  request.stop_tokens = {1, 99, -4};
  request.min_tokens = 3;
  EXPECT_EQ(Draw(request, kRow, 3, 2)->id, 5);
  EXPECT_EQ(Draw(request, kRow, 4, 3)->id, 1);
  request.sampling.temperature = 1;
  std::vector<double> weights = Weights(kRow, 1);
  weights[1] = 0;
  EXPECT_LT(ChiSquare(Counts(request, kRow), weights), 20.5);
}

TEST(Mask, NothingElseIsDrawnWhateverElseIsAsked) {
  const std::vector<uint64_t> mask = {0b0101100};  // 2, 3 and 5
  const auto draw = [&](const Request& request, std::vector<float> logits) {
    Sampler sampler(request, static_cast<int32_t>(logits.size()));
    return sampler.Draw(absl::MakeSpan(logits), 1, 0, mask);
  };
  Request request = Greedy();
  EXPECT_EQ(draw(request, {9, 8, 1, 3, 7, 2, 6})->id, 3);
  request.sampling.logit_bias = {{0, 100}, {2, 50}};
  EXPECT_EQ(draw(request, {9, 8, 1, 3, 7, 2, 6})->id, 2);
  // Penalties that overflow leave no token where the mask has none.
  request.prompt = {0, 1, 4, 6};
  request.sampling.repetition_penalty = 1e-38f;
  EXPECT_EQ(draw(request, {9, 8, 1, 3, 7, 2, 6})->id, 2);
  // Stop tokens are the mask's business.
  request.stop_tokens = {2};
  request.min_tokens = 5;
  EXPECT_EQ(draw(request, {9, 8, 1, 3, 7, 2, 6})->id, 2);
  EXPECT_TRUE(absl::IsInternal(draw(Greedy(), {kNaN, 8, 1, 3, 7, 2, 6}).status()));
  EXPECT_TRUE(
      absl::IsInternal(draw(Greedy(), {9, 8, -kInfinity, -kInfinity, 7, -kInfinity, 6}).status()));
}

TEST(Mask, HasABitForEveryTokenOfALongRow) {
  std::vector<uint64_t> mask(4);
  std::vector<float> row(200, 1.0f);
  mask[3] = 1 << 7;
  row[198] = row[63] = row[64] = 5;
  const Request request = Greedy();
  Sampler sampler(request, 200);
  EXPECT_EQ(sampler.Draw(absl::MakeSpan(row), 1, 0, mask)->id, 199);
}

TEST(Mask, LogprobsAreThoseOfTheWholeRow) {
  Request request = Greedy();
  request.top_logprobs = 1;
  std::vector<float> row = {3, 1, 0};
  const std::vector<uint64_t> mask = {0b100};
  Sampler sampler(request, 3);
  const auto token = sampler.Draw(absl::MakeSpan(row), 1, 0, mask);
  EXPECT_EQ(token->id, 2);
  EXPECT_NEAR(token->logprob.logprob, -std::log(std::exp(3.0) + std::exp(1.0) + 1), 1e-6);
  EXPECT_EQ(token->top[0].token, 0);
}

std::vector<double> LogSoftmax(const std::vector<float>& row) {
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit));
  std::vector<double> result;
  for (const float logit : row) result.push_back(logit - std::log(sum));
  return result;
}

TEST(Logprobs, AreOfTheRawLogitsWhateverChangedThem) {
  const std::vector<double> expected = LogSoftmax(kRow);
  Request request = AtTemperature(0.3f);
  request.top_logprobs = 3;
  request.prompt = {4};
  request.stop_tokens = {1};
  request.min_tokens = 1;
  request.sampling.repetition_penalty = 1.5f;
  request.sampling.logit_bias = {{4, 50.0f}, {4, 30.0f}};
  const auto token = Draw(request, kRow);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->id, 4);
  EXPECT_EQ(token->logprob.token, 4);
  EXPECT_NEAR(token->logprob.logprob, expected[4], 1e-6);
  ASSERT_EQ(token->top.size(), 3u);
  EXPECT_EQ(token->top[0].token, 1);
  EXPECT_EQ(token->top[1].token, 5);  // equal: the lower id comes first
  EXPECT_EQ(token->top[2].token, 3);
  for (const TokenLogprob& entry : token->top) {
    EXPECT_NEAR(entry.logprob, expected[entry.token], 1e-6);
  }
}

TEST(Logprobs, SumToOneOverALargeRow) {
  std::vector<float> row(200064);
  for (size_t i = 0; i < row.size(); ++i) row[i] = 5 * std::sin(static_cast<float>(i));
  const std::vector<double> expected = LogSoftmax(row);
  Request request = Greedy();
  request.top_logprobs = 20;
  const auto token = Draw(request, row);
  ASSERT_TRUE(token.ok());
  EXPECT_NEAR(token->logprob.logprob, expected[token->id], 1e-5);
  ASSERT_EQ(token->top.size(), 20u);
  EXPECT_EQ(token->top[0].token, token->id);
  for (size_t i = 1; i < 20; ++i) {
    EXPECT_GE(row[token->top[i - 1].token], row[token->top[i].token]);
    EXPECT_NEAR(token->top[i].logprob, expected[token->top[i].token], 1e-5);
  }
}

// What is foretold of a given token equals what is reported when it is drawn.
TEST(Logprobs, ForetellSaysWhatDrawWould) {
  Request request = Greedy();
  request.top_logprobs = 3;
  const auto drawn = Draw(request, kRow);
  const auto foretold = Foretell(kRow, drawn->id, 3);
  ASSERT_TRUE(foretold.ok());
  EXPECT_EQ(foretold->id, drawn->id);
  EXPECT_EQ(foretold->logprob.logprob, drawn->logprob.logprob);
  ASSERT_EQ(foretold->top.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(foretold->top[i].token, drawn->top[i].token);
    EXPECT_EQ(foretold->top[i].logprob, drawn->top[i].logprob);
  }
  EXPECT_NEAR(Foretell(kRow, 0, 0)->logprob.logprob, LogSoftmax(kRow)[0], 1e-6);
  std::vector<float> bad = kRow;
  bad[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(absl::IsInternal(Foretell(bad, 0, 3).status()));  // F21
}

TEST(Logprobs, NoneZeroAndMoreThanTheVocabulary) {
  Request request = Greedy();
  EXPECT_TRUE(Draw(request, kRow)->top.empty());
  request.top_logprobs = 0;
  const auto token = Draw(request, kRow);
  EXPECT_TRUE(token->top.empty());
  EXPECT_NEAR(token->logprob.logprob, LogSoftmax(kRow)[1], 1e-6);
  request.top_logprobs = 20;
  EXPECT_EQ(Draw(request, kRow)->top.size(), kRow.size());
}

}  // namespace
}  // namespace hearth
