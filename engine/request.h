// What is asked of the engine, and what it answers. Rank 0: plain values, no behaviour.
#ifndef HEARTH_ENGINE_REQUEST_H_
#define HEARTH_ENGINE_REQUEST_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace hearth {

class Constraint;  // engine/constrain; made by Engine::CompileConstraint

using TokenId = int32_t;
using RequestId = uint64_t;  // unique within the life of an Engine; 0 is never used
using Clock = std::chrono::steady_clock;

// The LongRoPE factor set a request is computed with: a function of the request alone.
enum class RopeRegime : uint8_t { kShort, kLong };

enum class Priority : uint8_t { kLow, kNormal, kHigh };

struct LogitBias {
  TokenId token;
  float bias;  // added to the logit; within [-100, 100]
};

// How the next token is drawn. The draw depends on (seed, choice, position) and the logits alone.
struct SamplingParams {
  float temperature = 1.0f;         // [0, 2]; 0 is greedy, ties to the lowest id
  float top_p = 1.0f;               // (0, 1]
  int32_t top_k = 0;                // 0: off
  float min_p = 0.0f;               // [0, 1]; relative to the most likely token
  float repetition_penalty = 1.0f;  // (0, 2]; over prompt and output
  float frequency_penalty = 0.0f;   // [-2, 2]; over the output
  float presence_penalty = 0.0f;    // [-2, 2]; over the output
  std::vector<LogitBias> logit_bias;
  uint64_t seed = 0;
};

// What is made of a prompt's hidden states after the final norm: one vector of length 1.
enum class Pooling : uint8_t {
  kNone,
  kMean,  // over all tokens, added in ascending order; takes no cached prefix
  kLast,  // the last token's
};

// One generation: one prompt, one choice. An API call with n choices is n Requests.
struct Request {
  std::vector<TokenId> prompt;  // REQUIRES: within vocabulary and context, not empty
  // The end of the context ends the output too. 0 ends the request (kLength) when the prompt is
  // computed. REQUIRES: >= 0; >= 1 unless something is asked of the prompt.
  int32_t max_tokens = 0;
  int32_t min_tokens = 0;  // stop tokens cannot be drawn before so many
  SamplingParams sampling;
  uint32_t choice = 0;
  std::vector<TokenId> stop_tokens;  // any of them ends the request
  // What the output must be; null: any tokens. Stop tokens that are no text come only where it is
  // whole, and where nothing can be added it ends, whatever min_tokens and stop_tokens say. Where
  // max_tokens ends it first it is the beginning of something that can be completed.
  std::shared_ptr<const Constraint> constraint;
  int32_t top_logprobs = -1;  // -1: no log-probabilities; 0..20: so many alternatives

  // What is asked of the prompt. Prompt tokens from this position on are foretold, each from all
  // before it (so 0 is as 1): an observer sees their logits, and with top_logprobs >= 0 they come
  // as PromptTokens. A cached prefix may hold the tokens before. -1: none.
  int32_t prompt_logits_from = -1;
  Pooling pooling = Pooling::kNone;  // comes as an Embedding
  // Once computed, the full blocks of the prompt stay cached under this name until Engine::Unpin or
  // FlushPrefixCache. REQUIRES: max_tokens is 0.
  std::string pin;

  Priority priority = Priority::kNormal;
  std::string client;       // fairness key: an API key, a peer uid, or empty
  uint64_t cache_salt = 0;  // requests with different salts share no cached prefix
  Clock::time_point queue_deadline = Clock::time_point::max();  // to be admitted by
  Clock::time_point deadline = Clock::time_point::max();        // to be finished by

  // Derived by Engine::Submit; a caller leaves them alone.
  RopeRegime regime = RopeRegime::kShort;
  uint64_t prefix_seed = 0;  // root of the prefix hash chain: model, KV type, regime, salt
};

struct TokenLogprob {
  TokenId token;
  float logprob;  // natural logarithm, of the distribution before temperature and filters
};

// The prompt is being computed. Sent after each step that computes a part of it.
struct Progress {
  int32_t prompt_tokens;
  int32_t computed_tokens;  // cached ones included
  int32_t cached_tokens;    // taken from the prefix cache
};

// One more token of output. Stop tokens are not delivered.
struct Token {
  TokenId id;
  TokenLogprob logprob;           // meaningful when top_logprobs >= 0
  std::vector<TokenLogprob> top;  // most likely first
};

// Prompt tokens that were foretold in a step. Those of one request come in ascending order, each
// once, whatever is preempted.
struct PromptTokens {
  int32_t first;  // position of tokens[0]
  std::vector<Token> tokens;
};

// The pooled hidden state. Comes once, when the prompt is computed.
struct Embedding {
  std::vector<float> values;  // of length 1 by the Euclidean norm; all 0 if they were
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kError };

// The last event of every request.
struct Finish {
  FinishReason reason;
  absl::Status status;  // not OK exactly for kCancelled and kError
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  int32_t completion_tokens = 0;  // every token drawn, a final stop token included
};

using Event = std::variant<Progress, PromptTokens, Embedding, Token, Finish>;

// What a request would meet if it were submitted now.
struct Estimate {
  int32_t cached_tokens = 0;   // of its prompt, in the prefix cache
  int32_t queue_position = 0;  // 0: it would start with the next step
  // By what steps have taken so far, if every request generates all it may.
  std::chrono::nanoseconds first_token{0};  // until the prompt is computed
  std::chrono::nanoseconds total{0};        // until max_tokens are generated
};

// Receives one request's events, in order, on the engine thread. Must not block and must not
// call back into the engine except Submit and Cancel. After Finish it is never called again.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(const Event& event) = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_REQUEST_H_
