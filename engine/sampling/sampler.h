// Draws the next token from one row of logits. The draw is a function of the logits, the
// parameters, the tokens so far and (seed, choice, position): no other state, no clock, no libm.
#ifndef HEARTH_ENGINE_SAMPLING_SAMPLER_H_
#define HEARTH_ENGINE_SAMPLING_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/sampling/ranking.h"

namespace hearth {

// `token` as Draw would report it if it were drawn from these logits. Internal error when they hold
// a NaN or +inf.
absl::StatusOr<Token> Foretell(absl::Span<const float> logits, TokenId token, int32_t top_logprobs);

// One per Request; used by the engine thread only.
class Sampler {
 public:
  // `request` must outlive the Sampler. vocab_size is the length of every logits row. Tokens of
  // the request outside the vocabulary are ignored.
  Sampler(const Request& request, int32_t vocab_size);

  // Order: log-probabilities reported (of the raw logits) → logit_bias → repetition, frequency
  // and presence penalties → `mask`, or without one the min_tokens ban of stop tokens → greedy, or
  // temperature, top_k, top_p, min_p, draw.
  // position: index of the drawn token in the sequence (prompt included); output_index: how many
  // tokens were drawn before it. mask: bit id % 64 of word id / 64 tells whether a token may be
  // drawn; empty: any. Changes `logits` in place. Internal error when the row holds a NaN or +inf,
  // or when every token is excluded. REQUIRES: mask is empty or has a bit for every logit.
  absl::StatusOr<Token> Draw(absl::Span<float> logits, int64_t position, int32_t output_index,
                             absl::Span<const uint64_t> mask = {});

  // Tells the penalties of a drawn token.
  void Accept(TokenId token);

 private:
  bool wants_logprobs() const { return request_.top_logprobs >= 0; }
  void Change(absl::Span<float> logits, TokenId token, float value);
  void AddBias(absl::Span<float> logits);
  void Penalise(absl::Span<float> logits);
  void BanStopTokens(absl::Span<float> logits);
  TokenId Choose(absl::Span<const float> logits, float max, int64_t position);

  const Request& request_;
  const int32_t vocab_size_;
  // How often a token was drawn; with a repetition penalty also the prompt's tokens, from 0.
  absl::flat_hash_map<TokenId, int32_t> seen_;
  std::vector<TokenLogprob> changed_;  // raw logits that the current draw overwrote, oldest first
  Ranking ranking_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SAMPLING_SAMPLER_H_
