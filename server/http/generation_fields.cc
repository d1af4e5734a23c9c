#include "server/http/generation_fields.h"

#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/constraint_fields.h"
#include "server/http/document.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr char kTimeoutHeader[] = "x-hearth-timeout-ms";

absl::Status ReadMaxTokens(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.max_tokens, GetInteger(body, "max_tokens"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<int64_t> newer,
                          GetInteger(body, "max_completion_tokens"));
  if (!newer) return absl::OkStatus();
  if (request.max_tokens && *request.max_tokens != *newer) {
    return InvalidParam("max_completion_tokens", "max_tokens asks for another limit");
  }
  request.max_tokens = newer;
  request.names.max_tokens = "max_completion_tokens";
  return absl::OkStatus();
}

absl::Status ReadStop(const Json& body, GenerationRequest& request) {
  const Json* stop = FindMember(body, "stop");
  if (stop == nullptr) return absl::OkStatus();
  if (stop->is_string()) {
    request.stop.push_back(StringOf(*stop));
    return absl::OkStatus();
  }
  if (!stop->is_array()) return InvalidParam("stop", "must be a string or a list of strings");
  for (const Json& item : *stop) {
    if (!item.is_string()) return InvalidParam("stop", "must be a string or a list of strings");
    request.stop.push_back(StringOf(item));
  }
  return absl::OkStatus();
}

absl::Status ReadLogitBias(const Json& body, GenerationRequest& request) {
  const Json* biases = FindMember(body, "logit_bias");
  if (biases == nullptr) return absl::OkStatus();
  if (!biases->is_object()) return InvalidParam("logit_bias", "must be an object");
  for (const auto& [key, value] : biases->items()) {
    int64_t token = 0;
    const bool number =
        key.find_first_not_of("-0123456789") == std::string::npos && absl::SimpleAtoi(key, &token);
    if (!number) return InvalidParam("logit_bias", "keys must be token ids");
    HEARTH_ASSIGN_OR_RETURN(const double bias, ToNumber(value, "logit_bias"));
    request.logit_bias.emplace_back(token, bias);
  }
  return absl::OkStatus();
}

absl::Status ReadStopTokens(const Json& body, GenerationRequest& request) {
  const Json* ids = FindMember(body, "stop_token_ids");
  if (ids == nullptr) return absl::OkStatus();
  if (!ids->is_array()) return InvalidParam("stop_token_ids", "must be a list of token ids");
  for (const Json& id : *ids) {
    HEARTH_ASSIGN_OR_RETURN(const int64_t value, ToInteger(id, "stop_token_ids"));
    request.stop_tokens.push_back(value);
  }
  return absl::OkStatus();
}

// Where the text ends.
absl::Status ReadEnds(const Json& body, GenerationRequest& request) {
  HEARTH_RETURN_IF_ERROR(ReadMaxTokens(body, request));
  HEARTH_ASSIGN_OR_RETURN(request.min_tokens, GetInteger(body, "min_tokens"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> ignore_eos, GetBool(body, "ignore_eos"));
  request.ignore_eos = ignore_eos.value_or(false);
  HEARTH_RETURN_IF_ERROR(ReadStop(body, request));
  return ReadStopTokens(body, request);
}

absl::Status ReadSampling(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.n, GetInteger(body, "n"));
  HEARTH_ASSIGN_OR_RETURN(request.temperature, GetNumber(body, "temperature"));
  HEARTH_ASSIGN_OR_RETURN(request.top_p, GetNumber(body, "top_p"));
  HEARTH_ASSIGN_OR_RETURN(request.top_k, GetInteger(body, "top_k"));
  HEARTH_ASSIGN_OR_RETURN(request.min_p, GetNumber(body, "min_p"));
  HEARTH_ASSIGN_OR_RETURN(request.repetition_penalty, GetNumber(body, "repetition_penalty"));
  HEARTH_ASSIGN_OR_RETURN(request.frequency_penalty, GetNumber(body, "frequency_penalty"));
  HEARTH_ASSIGN_OR_RETURN(request.presence_penalty, GetNumber(body, "presence_penalty"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<int64_t> seed, GetInteger(body, "seed"));
  if (seed) request.seed = static_cast<uint64_t>(*seed);
  return ReadLogitBias(body, request);
}

// The one says whether, the other how many of the likeliest beside.
absl::Status ReadChatLogprobs(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> logprobs, GetBool(body, "logprobs"));
  HEARTH_ASSIGN_OR_RETURN(request.top_logprobs, GetInteger(body, "top_logprobs"));
  if (logprobs.value_or(false)) {
    if (!request.top_logprobs) request.top_logprobs = 0;
  } else if (request.top_logprobs) {
    return InvalidParam("top_logprobs", "is only allowed with logprobs: true");
  }
  return absl::OkStatus();
}

absl::Status ReadCompletionLogprobs(const Json& body, GenerationRequest& request) {
  request.names.top_logprobs = "logprobs";
  HEARTH_ASSIGN_OR_RETURN(request.top_logprobs, GetInteger(body, "logprobs"));
  return absl::OkStatus();
}

// vLLM's: lower is earlier, 0 is as others are.
absl::Status ReadPriority(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<int64_t> priority, GetInteger(body, "priority"));
  if (priority.value_or(0) < 0) request.priority = Priority::kHigh;
  if (priority.value_or(0) > 0) request.priority = Priority::kLow;
  return absl::OkStatus();
}

absl::Status ReadService(const Json& body, GenerationRequest& request) {
  HEARTH_RETURN_IF_ERROR(ReadPriority(body, request));
  HEARTH_ASSIGN_OR_RETURN(std::optional<std::string> salt, GetString(body, "cache_salt"));
  request.names.cache_key = "cache_salt";
  request.cache_key = std::move(salt).value_or("");
  return ReadTruncation(body, request);
}

absl::Status ReadStreamOptions(const Json& body, OpenAiCall& call) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> progress, GetBool(body, "return_progress"));
  call.stream_options.return_progress = progress.value_or(false);
  if (call.stream_options.return_progress && !call.stream) {
    return InvalidParam("return_progress", "is only allowed with stream: true");
  }
  const Json* options = FindMember(body, "stream_options");
  if (options == nullptr) return absl::OkStatus();
  if (!options->is_object()) return InvalidParam("stream_options", "must be an object");
  if (!call.stream) return InvalidParam("stream_options", "is only allowed with stream: true");
  const Json* usage = FindMember(*options, "include_usage");
  if (usage == nullptr) return absl::OkStatus();
  if (!usage->is_boolean()) {
    return InvalidParam("stream_options.include_usage", "must be true or false");
  }
  call.stream_options.include_usage = *usage->get_ptr<const bool*>();
  return absl::OkStatus();
}

absl::Status ReadTimeout(const RequestHead& head, GenerationRequest& request) {
  const std::string* text = head.Find(kTimeoutHeader);
  if (text == nullptr) return absl::OkStatus();
  int64_t ms = 0;
  if (!absl::SimpleAtoi(*text, &ms) || ms < 1) {
    return InvalidParam(kTimeoutHeader, "must be a number of milliseconds, at least 1");
  }
  request.timeout = absl::Milliseconds(ms);
  return absl::OkStatus();
}

absl::Status ReadOpenAi(const Json& body, Dialect dialect, OpenAiCall& call) {
  HEARTH_RETURN_IF_ERROR(ReadEnds(body, call.request));
  HEARTH_RETURN_IF_ERROR(ReadSampling(body, call.request));
  HEARTH_RETURN_IF_ERROR(dialect == Dialect::kChat ? ReadChatLogprobs(body, call.request)
                                                   : ReadCompletionLogprobs(body, call.request));
  HEARTH_RETURN_IF_ERROR(ReadConstraint(body, call.request));
  HEARTH_RETURN_IF_ERROR(ReadService(body, call.request));
  return ReadStreamOptions(body, call);
}

}  // namespace

absl::StatusOr<std::string> ReadModel(const Json& body) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<std::string> model, GetString(body, "model"));
  if (!model) return "";
  if (model->empty() || model->find('\0') != std::string::npos) {
    return InvalidParam("model", "must be the name of a model");
  }
  return *model;
}

absl::Status ReadTruncation(const Json& body, GenerationRequest& request) {
  const Json* truncation = FindMember(body, "truncation");
  if (truncation == nullptr || *truncation == "disabled") return absl::OkStatus();
  if (*truncation != "auto") return InvalidParam("truncation", "must be auto or disabled");
  request.overflow = Overflow::kDropOldest;
  return absl::OkStatus();
}

absl::Status ReadGeneration(Daemon& daemon, HttpRequest& http, Dialect dialect,
                            GenerationCall& call,
                            absl::FunctionRef<absl::Status(const Json&)> read) {
  HEARTH_RETURN_IF_ERROR(ReadTimeout(http.head, call.request));
  call.request.client = http.client;
  return ReadDocument(http, [&](const Json& body) -> absl::Status {
    HEARTH_ASSIGN_OR_RETURN(call.ignored, IgnoredFields(daemon, body, dialect));
    HEARTH_ASSIGN_OR_RETURN(call.request.model, ReadModel(body));
    HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> stream, GetBool(body, "stream"));
    call.stream = stream.value_or(false);
    return read(body);
  });
}

absl::StatusOr<OpenAiCall> ReadGenerationCall(
    Daemon& daemon, HttpRequest& http, Dialect dialect,
    absl::Status (*read_prompt)(const Json& body, GenerationRequest& request)) {
  OpenAiCall call;
  const auto read = [&](const Json& body) -> absl::Status {
    HEARTH_RETURN_IF_ERROR(read_prompt(body, call.request));
    return ReadOpenAi(body, dialect, call);
  };
  HEARTH_RETURN_IF_ERROR(ReadGeneration(daemon, http, dialect, call, read));
  return call;
}

}  // namespace hearth::server
