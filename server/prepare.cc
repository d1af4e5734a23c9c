#include "server/prepare.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/prompt.h"
#include "server/status.h"
#include "server/tool_use.h"

namespace hearth::server {
namespace {

constexpr int64_t kMaxChoices = 4;  // of a prompt
constexpr size_t kMaxPrompts = 64;
constexpr size_t kMaxStops = 4;
constexpr size_t kMaxStopBytes = 64;
constexpr size_t kMaxStopTokens = 64;
constexpr size_t kMaxLogitBias = 1024;
constexpr int64_t kMaxTopLogprobs = 20;
constexpr int64_t kMaxEchoedLogprobs = 1 << 19;  // a reply of some 20 MB
constexpr size_t kMaxCacheKeyBytes = 512;

// Moves an optional wire value into `out` when it lies within [low, high].
template <typename Wire, typename T>
absl::Status Take(const std::optional<Wire>& wire, Wire low, Wire high, std::string_view name,
                  T& out) {
  if (!wire) return absl::OkStatus();
  if (!(*wire >= low && *wire <= high)) {
    return InvalidParam(name, absl::StrCat("must be within [", low, ", ", high, "]"));
  }
  out = static_cast<T>(*wire);
  return absl::OkStatus();
}

// Likewise for (low, high].
absl::Status TakeAbove(const std::optional<double>& wire, double low, double high,
                       std::string_view name, float& out) {
  if (wire && !(static_cast<float>(*wire) > low)) {
    return InvalidParam(name, absl::StrCat("must be within (", low, ", ", high, "]"));
  }
  return Take(wire, low, high, name, out);
}

absl::StatusOr<SamplingParams> TakeSampling(const GenerationRequest& wire, int32_t vocab) {
  SamplingParams p;
  HEARTH_RETURN_IF_ERROR(Take(wire.temperature, 0.0, 2.0, "temperature", p.temperature));
  HEARTH_RETURN_IF_ERROR(TakeAbove(wire.top_p, 0.0, 1.0, "top_p", p.top_p));
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.top_k, -1, vocab, "top_k", p.top_k));
  p.top_k = std::max(p.top_k, 0);  // -1 is off, as vLLM has it
  HEARTH_RETURN_IF_ERROR(Take(wire.min_p, 0.0, 1.0, "min_p", p.min_p));
  HEARTH_RETURN_IF_ERROR(
      TakeAbove(wire.repetition_penalty, 0.0, 2.0, "repetition_penalty", p.repetition_penalty));
  HEARTH_RETURN_IF_ERROR(
      Take(wire.frequency_penalty, -2.0, 2.0, "frequency_penalty", p.frequency_penalty));
  HEARTH_RETURN_IF_ERROR(
      Take(wire.presence_penalty, -2.0, 2.0, "presence_penalty", p.presence_penalty));
  if (wire.logit_bias.size() > kMaxLogitBias) {
    return InvalidParam("logit_bias", absl::StrCat("at most ", kMaxLogitBias, " entries"));
  }
  for (const auto& [token, bias] : wire.logit_bias) {
    if (token < 0 || token >= vocab) {
      return InvalidParam("logit_bias", absl::StrCat("token ids must be within [0, ", vocab, ")"));
    }
    if (!(bias >= -100 && bias <= 100)) {
      return InvalidParam("logit_bias", "values must be within [-100, 100]");
    }
    p.logit_bias.push_back({static_cast<TokenId>(token), static_cast<float>(bias)});
  }
  return p;
}

absl::Status CheckStops(const GenerationRequest& wire, int32_t vocab) {
  const std::string& name = wire.names.stop;
  if (wire.stop.size() > kMaxStops) {
    return InvalidParam(name, absl::StrCat("at most ", kMaxStops, " strings"));
  }
  for (const std::string& stop : wire.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return InvalidParam(name, absl::StrCat("each of 1 to ", kMaxStopBytes, " bytes"));
    }
    if (stop.find('\0') != std::string::npos) return InvalidParam(name, "NUL is not allowed");
  }
  const std::string& tokens = wire.names.stop_tokens;
  if (wire.stop_tokens.size() > kMaxStopTokens) {
    return InvalidParam(tokens, absl::StrCat("at most ", kMaxStopTokens, " token ids"));
  }
  for (int64_t id : wire.stop_tokens) {
    if (id >= 0 && id < vocab) continue;
    return InvalidParam(tokens, absl::StrCat("token ids must be within [0, ", vocab, ")"));
  }
  return absl::OkStatus();
}

std::vector<TokenId> StopTokens(const GenerationRequest& wire, const Tokenizer& tokenizer) {
  std::vector<TokenId> tokens(wire.stop_tokens.begin(), wire.stop_tokens.end());
  if (!wire.ignore_eos) {
    const std::vector<TokenId>& own = tokenizer.stop_tokens();
    tokens.insert(tokens.end(), own.begin(), own.end());
  }
  return tokens;
}

// What the model may write, and for messages the field that says so; nullopt: anything.
absl::StatusOr<std::optional<TextConstraint>> ConstraintOf(const Daemon& daemon,
                                                           const GenerationRequest& wire) {
  HEARTH_RETURN_IF_ERROR(CheckTools(wire));
  if (!UsesTools(wire)) return wire.constraint;
  if (wire.constraint) {
    return InvalidParam(wire.constraint->where, "does not go with tools that may be called");
  }
  const ChatFormat* format = daemon.chat_format();
  if (format == nullptr || format->tool_call_syntax() == ToolCallSyntax()) {
    return InvalidParam("tools", "this model's chat format has none");
  }
  return TextConstraint{"tools", CallsOf(wire, format->tool_call_syntax())};
}

absl::Status Constrain(const Daemon& daemon, const GenerationRequest& wire, Request& request) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<TextConstraint> constraint,
                          ConstraintOf(daemon, wire));
  if (!constraint) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const Constraint>> compiled =
      daemon.engine().CompileConstraint(constraint->source);
  if (!compiled.ok()) return WithParam(compiled.status(), constraint->where);
  request.constraint = *std::move(compiled);
  return absl::OkStatus();
}

// All choices are submitted at once: more than the engine takes would be refused for ever.
absl::Status CheckCounts(const GenerationRequest& wire, int32_t n, const ModelInfo& info) {
  if (wire.prompts.empty() || wire.prompts.size() > kMaxPrompts) {
    return InvalidParam(wire.names.prompt, absl::StrCat("1 to ", kMaxPrompts, " prompts"));
  }
  const size_t most = static_cast<size_t>(info.max_running) + static_cast<size_t>(info.max_queued);
  if (wire.prompts.size() * static_cast<size_t>(n) <= most) return absl::OkStatus();
  return InvalidParam(wire.prompts.size() > 1 ? wire.names.prompt : "n",
                      absl::StrCat("at most ", most, " choices, of all prompts together"));
}

void SetDeadlines(const v1::Limits& limits, const GenerationRequest& wire, Request& request) {
  const Clock::time_point now = Clock::now();
  absl::Duration total = absl::Milliseconds(limits.request_timeout_ms());
  if (wire.timeout) total = std::min(total, std::max(*wire.timeout, absl::ZeroDuration()));
  request.deadline = now + absl::ToChronoMilliseconds(total);
  request.queue_deadline = now + std::chrono::milliseconds(limits.queue_timeout_ms());
}

// What the requests of all prompts have alike.
absl::StatusOr<Request> Prototype(const Daemon& daemon, const GenerationRequest& wire) {
  const int32_t vocab = daemon.engine().info().vocab_size;
  HEARTH_ASSIGN_OR_RETURN(Request request, PromptPrototype(daemon, wire));
  HEARTH_RETURN_IF_ERROR(CheckStops(wire, vocab));
  HEARTH_ASSIGN_OR_RETURN(request.sampling, TakeSampling(wire, vocab));
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.top_logprobs, 0, kMaxTopLogprobs,
                                       wire.names.top_logprobs, request.top_logprobs));
  HEARTH_RETURN_IF_ERROR(Constrain(daemon, wire, request));
  request.sampling.seed = wire.seed ? *wire.seed : absl::Uniform<uint64_t>(absl::BitGen());
  request.stop_tokens = StopTokens(wire, daemon.engine().tokenizer());
  return request;
}

absl::Status SetPrompt(const Daemon& daemon, const GenerationRequest& wire,
                       const PromptSpec& prompt, Request& request) {
  HEARTH_ASSIGN_OR_RETURN(FittedPrompt fitted, FitPrompt(daemon, wire, prompt));
  request.prompt = std::move(fitted.tokens);
  request.max_tokens = fitted.max_tokens;
  // Where nothing is to be generated, something has to be asked of the prompt: the least there is.
  const int32_t last = static_cast<int32_t>(request.prompt.size()) - 1;
  if (wire.echo && wire.top_logprobs) {
    request.prompt_logits_from = 0;
  } else if (request.max_tokens == 0) {
    request.prompt_logits_from = last;
  }
  return Take<int64_t>(wire.min_tokens, 0, request.max_tokens, "min_tokens", request.min_tokens);
}

}  // namespace

int32_t PreparedGeneration::prompt_tokens() const {
  size_t tokens = 0;
  for (const Request& request : prompts) tokens += request.prompt.size();
  return static_cast<int32_t>(tokens);
}

absl::StatusOr<Request> PromptPrototype(const Daemon& daemon, const GenerationRequest& wire) {
  if (wire.cache_key.size() > kMaxCacheKeyBytes) {
    return InvalidParam(wire.names.cache_key,
                        absl::StrCat("at most ", kMaxCacheKeyBytes, " bytes"));
  }
  Request request;
  request.priority = wire.priority;
  request.client = wire.client;
  request.cache_salt = daemon.CacheSalt(wire.client, wire.cache_key);
  SetDeadlines(daemon.config().limits(), wire, request);
  return request;
}

absl::StatusOr<PreparedGeneration> Prepare(const Daemon& daemon, const GenerationRequest& wire) {
  PreparedGeneration prepared;
  prepared.logprobs = wire.top_logprobs.has_value();
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.n, 1, kMaxChoices, "n", prepared.n));
  HEARTH_RETURN_IF_ERROR(CheckCounts(wire, prepared.n, daemon.engine().info()));
  HEARTH_ASSIGN_OR_RETURN(const Request prototype, Prototype(daemon, wire));
  if (UsesTools(wire)) prepared.tool_calls = daemon.chat_format()->tool_call_syntax();
  for (const PromptSpec& prompt : wire.prompts) {
    Request request = prototype;
    HEARTH_RETURN_IF_ERROR(SetPrompt(daemon, wire, prompt, request));
    prepared.prompts.push_back(std::move(request));
  }
  if (wire.echo && wire.top_logprobs) {
    const int64_t each = prepared.n * (1 + *wire.top_logprobs);
    if (prepared.prompt_tokens() * each > kMaxEchoedLogprobs) {
      return InvalidParam(wire.names.top_logprobs,
                          absl::StrCat("at most ", kMaxEchoedLogprobs, " in all with echo, of ",
                                       prepared.prompt_tokens(), " prompt tokens"));
    }
  }
  return prepared;
}

}  // namespace hearth::server
