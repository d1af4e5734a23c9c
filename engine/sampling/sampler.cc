#include "engine/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/sampling/rng.h"
#include "engine/status_macros.h"
#include "engine/tensor/detmath.h"

namespace hearth {
namespace {

constexpr float kExcluded = -std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 64;  // of a scan: the compiler vectorises over them

// Floats as integers of the same order. NaNs lie beyond the infinities, -0 just below +0.
constexpr int32_t OrderedBits(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

constexpr int32_t kLowestBits = OrderedBits(kExcluded);
constexpr int32_t kHighestBits = OrderedBits(std::numeric_limits<float>::max());

bool IsLogit(float value) {  // neither NaN nor +inf
  const int32_t bits = OrderedBits(value);
  return bits >= kLowestBits && bits <= kHighestBits;
}

// The largest logit; an error if one is NaN or +inf.
absl::StatusOr<float> Largest(absl::Span<const float> logits) {
  int32_t low = std::numeric_limits<int32_t>::max();
  int32_t high = std::numeric_limits<int32_t>::min();
  for (const float logit : logits) {
    low = std::min(low, OrderedBits(logit));
    high = std::max(high, OrderedBits(logit));
  }
  if (low < kLowestBits || high > kHighestBits) {
    const auto bad = std::find_if_not(logits.begin(), logits.end(), IsLogit);
    return absl::InternalError(absl::StrCat("logits: token ", bad - logits.begin(), " has ", *bad,
                                            ", expected a finite number or -inf"));
  }
  return std::bit_cast<float>(high ^ ((high >> 31) & 0x7fffffff));
}

// The lowest token with this logit. REQUIRES: there is one.
TokenId FirstWith(absl::Span<const float> logits, float value) {
  size_t start = 0;
  for (; start + kLanes <= logits.size(); start += kLanes) {
    int any = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) any |= logits[start + lane] == value;
    if (any) break;
  }
  return static_cast<TokenId>(std::find(logits.begin() + start, logits.end(), value) -
                              logits.begin());
}

// ln of the sum of e^logit: kLanes sums in double, token i in sum i mod kLanes, added in order.
double LogSumExp(absl::Span<const float> logits, float max) {
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<double>(detmath::Exp(logits[i + lane] - max));
    }
  }
  for (size_t lane = 0; i < logits.size(); ++i, ++lane) {
    sums[lane] += static_cast<double>(detmath::Exp(logits[i] - max));
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return static_cast<double>(max) + detmath::Log(sum);
}

// All tokens but those of the mask.
void Exclude(absl::Span<float> logits, absl::Span<const uint64_t> mask) {
  for (size_t start = 0; start < logits.size(); start += 64) {
    const uint64_t word = mask[start / 64];
    if (word == ~uint64_t{0}) continue;
    const size_t count = std::min<size_t>(64, logits.size() - start);
    for (size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits[start + i] = kExcluded;
    }
  }
}

bool Before(const TokenLogprob& a, const TokenLogprob& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// The `count` tokens with the largest logits, in order, their logits in place of probabilities.
std::vector<TokenLogprob> Leading(absl::Span<const float> logits, size_t count) {
  std::vector<TokenLogprob> leading;
  count = std::min(count, logits.size());
  if (count == 0) return leading;
  leading.reserve(count);
  for (size_t i = 0; i < logits.size(); ++i) {
    // Ids ascend, so an equal logit comes after those already there.
    if (i >= count && !(logits[i] > leading.back().logprob)) continue;
    if (i >= count) leading.pop_back();
    const TokenLogprob entry{static_cast<TokenId>(i), logits[i]};
    leading.insert(std::upper_bound(leading.begin(), leading.end(), entry, Before), entry);
  }
  return leading;
}

float Logprob(float logit, double log_sum) {
  return static_cast<float>(static_cast<double>(logit) - log_sum);
}

// The likeliest tokens, likeliest first.
std::vector<TokenLogprob> Top(absl::Span<const float> logits, double log_sum, int32_t count) {
  std::vector<TokenLogprob> top = Leading(logits, count);
  for (TokenLogprob& entry : top) entry.logprob = Logprob(entry.logprob, log_sum);
  return top;
}

}  // namespace

absl::StatusOr<Token> Foretell(absl::Span<const float> logits, TokenId token,
                               int32_t top_logprobs) {
  HEARTH_ASSIGN_OR_RETURN(const float max, Largest(logits));
  const double log_sum = LogSumExp(logits, max);
  return Token{.id = token,
               .logprob = {token, Logprob(logits[token], log_sum)},
               .top = Top(logits, log_sum, top_logprobs)};
}

Sampler::Sampler(const Request& request, int32_t vocab_size)
    : request_(request), vocab_size_(vocab_size) {
  if (request.sampling.repetition_penalty == 1.0f) return;
  for (const TokenId token : request.prompt) seen_.try_emplace(token, 0);
}

void Sampler::Accept(TokenId token) { ++seen_[token]; }

absl::StatusOr<Token> Sampler::Draw(absl::Span<float> logits, int64_t position,
                                    int32_t output_index, absl::Span<const uint64_t> mask) {
  HEARTH_CHECK(static_cast<int64_t>(logits.size()) == vocab_size_);
  HEARTH_CHECK(mask.empty() || mask.size() * 64 >= logits.size());
  Token token{};
  double log_sum = 0;
  changed_.clear();
  if (wants_logprobs()) {
    HEARTH_ASSIGN_OR_RETURN(const float raw_max, Largest(logits));
    log_sum = LogSumExp(logits, raw_max);
    token.top = Top(logits, log_sum, request_.top_logprobs);
  }
  AddBias(logits);
  Penalise(logits);
  if (mask.empty() && output_index < request_.min_tokens) BanStopTokens(logits);
  HEARTH_ASSIGN_OR_RETURN(float max, Largest(logits));
  if (!mask.empty()) {
    Exclude(logits, mask);
    HEARTH_ASSIGN_OR_RETURN(max, Largest(logits));
  }
  if (max == kExcluded) return absl::InternalError("logits: every token is excluded");
  token.id = Choose(logits, max, position);
  token.logprob.token = token.id;
  if (wants_logprobs()) {
    const auto raw = std::find_if(changed_.begin(), changed_.end(),
                                  [&](const TokenLogprob& old) { return old.token == token.id; });
    token.logprob.logprob =
        Logprob(raw != changed_.end() ? raw->logprob : logits[token.id], log_sum);
  }
  return token;
}

void Sampler::Change(absl::Span<float> logits, TokenId token, float value) {
  if (wants_logprobs()) changed_.push_back({token, logits[token]});
  logits[token] = value;
}

void Sampler::AddBias(absl::Span<float> logits) {
  for (const LogitBias& bias : request_.sampling.logit_bias) {
    if (bias.token < 0 || bias.token >= vocab_size_) continue;
    Change(logits, bias.token, logits[bias.token] + bias.bias);
  }
}

void Sampler::Penalise(absl::Span<float> logits) {
  const SamplingParams& params = request_.sampling;
  if (params.repetition_penalty == 1.0f && params.frequency_penalty == 0.0f &&
      params.presence_penalty == 0.0f) {
    return;
  }
  for (const auto& [token, count] : seen_) {
    if (token < 0 || token >= vocab_size_) continue;
    float logit = logits[token];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    logit -= static_cast<float>(count) * params.frequency_penalty;
    if (count > 0) logit -= params.presence_penalty;
    // A legal penalty may overflow; the order of the other tokens stays what it was.
    constexpr float kMost = std::numeric_limits<float>::max();
    if (IsLogit(logits[token])) logit = std::clamp(logit, -kMost, kMost);
    Change(logits, token, logit);
  }
}

void Sampler::BanStopTokens(absl::Span<float> logits) {
  for (const TokenId token : request_.stop_tokens) {
    if (token < 0 || token >= vocab_size_) continue;
    if (IsLogit(logits[token])) Change(logits, token, kExcluded);  // else it is to be found
  }
}

TokenId Sampler::Choose(absl::Span<const float> logits, float max, int64_t position) {
  const SamplingParams& params = request_.sampling;
  if (params.temperature <= 0 || params.top_k == 1) return FirstWith(logits, max);
  ranking_.Reset(logits, max, params.temperature);
  if (params.top_k > 0) ranking_.KeepCount(params.top_k);
  if (params.top_p < 1) ranking_.KeepMass(static_cast<double>(params.top_p));
  if (params.min_p > 0) ranking_.KeepAbove(detmath::Log(std::min(params.min_p, 1.0f)));
  return ranking_.Pick(UniformDraw(params.seed, request_.choice, position));
}

}  // namespace hearth
