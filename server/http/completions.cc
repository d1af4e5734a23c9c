// POST /v1/completions. `model` may be absent: the daemon serves one. `prompt` is a string (the
// empty one is BOS alone), a list of one string, or a list of token ids.
#include <string>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/status.h"

namespace hearth::server {
namespace {

absl::Status ReadTokenIds(const Json& prompt, GenerationRequest& request) {
  std::vector<int64_t> ids;
  for (const Json& id : prompt) {
    if (!id.is_number_integer()) {
      return InvalidParam("prompt", "must be one prompt: a string or a list of token ids");
    }
    HEARTH_ASSIGN_OR_RETURN(const int64_t value, ToInteger(id, "prompt"));
    ids.push_back(value);
  }
  request.prompt = std::move(ids);
  return absl::OkStatus();
}

absl::Status ReadPrompt(const Json& body, GenerationRequest& request) {
  const Json* prompt = FindMember(body, "prompt");
  if (prompt == nullptr) return InvalidParam("prompt", "is missing");
  if (prompt->is_array() && prompt->size() == 1 && prompt->front().is_string()) {
    prompt = &prompt->front();
  }
  if (prompt->is_string()) {
    request.prompt = StringOf(*prompt);
    return absl::OkStatus();
  }
  if (!prompt->is_array() || prompt->empty()) {
    return InvalidParam("prompt", "must be a string or a list of token ids");
  }
  return ReadTokenIds(*prompt, request);
}

OrderedJson TextMember(std::string text) { return {{"text", std::move(text)}}; }

constexpr ReplyShape kShape = {
    .id_prefix = "cmpl-",
    .object = "text_completion",
    .chunk_object = "text_completion",
    .whole = TextMember,
    .opening = nullptr,
    .delta = TextMember,
    .closing = [] { return TextMember(""); },
};

}  // namespace

absl::StatusOr<HttpReply> Completions(Daemon& daemon, HttpRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(GenerationCall call,
                          ReadGenerationCall(request, Dialect::kCompletions, ReadPrompt));
  return Generate(daemon, request, std::move(call), kShape);
}

}  // namespace hearth::server
