// POST /v1/chat/completions. `model` may be absent: the daemon serves one.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/status.h"

namespace hearth::server {
namespace {

absl::StatusOr<Role> ReadRole(const Json& message, const std::string& where) {
  const std::string param = absl::StrCat(where, ".role");
  const Json* role = FindMember(message, "role");
  if (role != nullptr && role->is_string()) {
    const std::string& name = StringOf(*role);
    if (name == "system" || name == "developer") return Role::kSystem;
    if (name == "user") return Role::kUser;
    if (name == "assistant") return Role::kAssistant;
  }
  return InvalidParam(param, "must be system, developer, user or assistant");
}

absl::Status AppendPart(const Json& part, const std::string& param, std::string& text) {
  if (!part.is_object()) return InvalidParam(param, "must be an object");
  const Json* type = FindMember(part, "type");
  if (type == nullptr || !type->is_string()) {
    return InvalidParam(absl::StrCat(param, ".type"), "must be a string");
  }
  if (StringOf(*type) != "text") {
    return InvalidParam(absl::StrCat(param, ".type"), "only text parts are supported",
                        "unsupported_value");
  }
  const Json* words = FindMember(part, "text");
  if (words == nullptr || !words->is_string()) {
    return InvalidParam(absl::StrCat(param, ".text"), "must be a string");
  }
  text += StringOf(*words);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadContent(const Json& message, const std::string& where) {
  const std::string param = absl::StrCat(where, ".content");
  const Json* content = FindMember(message, "content");
  if (content != nullptr && content->is_string()) return StringOf(*content);
  if (content == nullptr || !content->is_array() || content->empty()) {
    return InvalidParam(param, "must be a string or a list of text parts");
  }
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    HEARTH_RETURN_IF_ERROR(AppendPart((*content)[i], absl::StrCat(param, "[", i, "]"), text));
  }
  return text;
}

absl::StatusOr<Message> ReadMessage(const Json& message, const std::string& where) {
  if (!message.is_object()) return InvalidParam(where, "must be an object");
  HEARTH_ASSIGN_OR_RETURN(const Role role, ReadRole(message, where));
  HEARTH_ASSIGN_OR_RETURN(std::string content, ReadContent(message, where));
  return Message{role, std::move(content)};
}

absl::Status ReadMessages(const Json& body, GenerationRequest& request) {
  const Json* messages = FindMember(body, "messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return InvalidParam("messages", "must be a list of at least one message");
  }
  std::vector<Message> read;
  for (size_t i = 0; i < messages->size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(Message message,
                            ReadMessage((*messages)[i], absl::StrCat("messages[", i, "]")));
    read.push_back(std::move(message));
  }
  request.prompt = std::move(read);
  request.prompt_name = "messages";
  return absl::OkStatus();
}

constexpr ReplyShape kShape = {
    .id_prefix = "chatcmpl-",
    .object = "chat.completion",
    .chunk_object = "chat.completion.chunk",
    .whole =
        [](std::string text) {
          return OrderedJson{
              {"message",
               {{"role", "assistant"}, {"content", std::move(text)}, {"refusal", nullptr}}}};
        },
    .opening =
        [] {
          return OrderedJson{
              {"delta", {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}}};
        },
    .delta =
        [](std::string text) {
          return OrderedJson{{"delta", {{"content", std::move(text)}}}};
        },
    .closing =
        [] {
          return OrderedJson{{"delta", OrderedJson::object()}};
        },
};

}  // namespace

absl::StatusOr<HttpReply> ChatCompletions(Daemon& daemon, HttpRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(GenerationCall call,
                          ReadGenerationCall(request, Dialect::kChat, ReadMessages));
  return Generate(daemon, request, std::move(call), kShape);
}

}  // namespace hearth::server
