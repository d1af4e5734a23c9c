#include "server/http/generation_fields.h"

#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr char kTimeoutHeader[] = "x-hearth-timeout-ms";

absl::Status ReadModel(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<std::string> model, GetString(body, "model"));
  if (!model) return absl::OkStatus();
  if (model->empty() || model->find('\0') != std::string::npos) {
    return InvalidParam("model", "must be the name of a model");
  }
  request.model = *model;
  return absl::OkStatus();
}

absl::Status ReadMaxTokens(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.max_tokens, GetInteger(body, "max_tokens"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<int64_t> newer,
                          GetInteger(body, "max_completion_tokens"));
  if (!newer) return absl::OkStatus();
  if (request.max_tokens && *request.max_tokens != *newer) {
    return InvalidParam("max_completion_tokens", "max_tokens asks for another limit");
  }
  request.max_tokens = newer;
  request.max_tokens_name = "max_completion_tokens";
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
  HEARTH_RETURN_IF_ERROR(ReadStop(body, request));
  return ReadLogitBias(body, request);
}

absl::Status ReadStreamOptions(const Json& body, GenerationCall& call) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> stream, GetBool(body, "stream"));
  call.stream = stream.value_or(false);
  const Json* options = FindMember(body, "stream_options");
  if (options == nullptr) return absl::OkStatus();
  if (!options->is_object()) return InvalidParam("stream_options", "must be an object");
  if (!call.stream) return InvalidParam("stream_options", "is only allowed with stream: true");
  const Json* usage = FindMember(*options, "include_usage");
  if (usage == nullptr) return absl::OkStatus();
  if (!usage->is_boolean()) {
    return InvalidParam("stream_options.include_usage", "must be true or false");
  }
  call.include_usage = *usage->get_ptr<const bool*>();
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

absl::Status ReadBody(const Json& body, Dialect dialect,
                      absl::Status (*read_prompt)(const Json&, GenerationRequest&),
                      GenerationCall& call) {
  if (!body.is_object()) return InvalidParam("", "the body must be a JSON object");
  HEARTH_ASSIGN_OR_RETURN(call.ignored, CheckFields(body, dialect));
  HEARTH_RETURN_IF_ERROR(ReadModel(body, call.request));
  HEARTH_RETURN_IF_ERROR(read_prompt(body, call.request));
  HEARTH_RETURN_IF_ERROR(ReadMaxTokens(body, call.request));
  HEARTH_RETURN_IF_ERROR(ReadSampling(body, call.request));
  return ReadStreamOptions(body, call);
}

}  // namespace

absl::StatusOr<GenerationCall> ReadGenerationCall(
    HttpRequest& http, Dialect dialect,
    absl::Status (*read_prompt)(const Json& body, GenerationRequest& request)) {
  GenerationCall call;
  HEARTH_RETURN_IF_ERROR(ReadTimeout(http.head, call.request));
  call.request.client = http.client;
  Body text = std::move(http.body);  // counts until it has been parsed
  // A document takes many times its text. One at a time bounds the memory of all connections.
  static std::mutex one_document;
  std::lock_guard<std::mutex> lock(one_document);
  HEARTH_ASSIGN_OR_RETURN(const Json body, ParseJson(text.text()));
  HEARTH_RETURN_IF_ERROR(ReadBody(body, dialect, read_prompt, call));
  return call;
}

}  // namespace hearth::server
