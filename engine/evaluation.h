// How well a loaded model foretells texts, alone and against another: what a quantisation costs.
#ifndef HEARTH_ENGINE_EVALUATION_H_
#define HEARTH_ENGINE_EVALUATION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"

namespace hearth {

// Tokens [first_scored, size) are foretold, each from all before it.
struct Passage {
  std::vector<TokenId> tokens;
  int32_t first_scored = 1;  // REQUIRES: within [1, size)
};

struct Evaluation {
  // Of the distribution of the next token against the reference's, in nats.
  struct Divergence {
    double mean_kl = 0;  // KL(reference || subject), over the scored tokens
    double p99_kl = 0;
    double max_kl = 0;
    double same_top = 0;  // how often both find the same token the most likely
    double reference_perplexity = 0;
  };
  int64_t scored_tokens = 0;
  double perplexity = 0;  // exp of the mean negative log-likelihood
  std::optional<Divergence> divergence;
};

// What an engine that evaluates needs, besides the model's path.
EngineOptions EvaluationOptions(int32_t longest_passage);

// Runs every passage through `subject` and, unless null, `reference`, one after the other; keeps
// the reference's logits of one passage meanwhile. Takes the engines' logit observers.
// InvalidArgument where a passage exceeds a context or the vocabularies differ in size.
// REQUIRES: passages are not empty; nothing else was or is submitted to the engines.
absl::StatusOr<Evaluation> Evaluate(Engine& subject, Engine* reference,
                                    absl::Span<const Passage> passages);

}  // namespace hearth

#endif  // HEARTH_ENGINE_EVALUATION_H_
