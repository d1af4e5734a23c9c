#include "server/http/chat_messages.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/text_content.h"
#include "server/status.h"

namespace hearth::server {
namespace {

absl::StatusOr<Role> ReadRole(const Json& message, const std::string& where) {
  const Json* role = FindMember(message, "role");
  if (role != nullptr && role->is_string()) {
    const std::string& name = StringOf(*role);
    if (name == "system" || name == "developer") return Role::kSystem;
    if (name == "user") return Role::kUser;
    if (name == "assistant") return Role::kAssistant;
    if (name == "tool") return Role::kTool;
  }
  return InvalidParam(absl::StrCat(where, ".role"),
                      "must be system, developer, user, assistant or tool");
}

absl::StatusOr<ToolCall> ReadCall(const Json& call, const std::string& where) {
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(call, where));
  if (type != "function") {
    return InvalidParam(absl::StrCat(where, ".type"), "only function calls are supported",
                        "unsupported_value");
  }
  ToolCall read;
  HEARTH_ASSIGN_OR_RETURN(read.id, RequireString(call, "id", where));
  const std::string inner = absl::StrCat(where, ".function");
  const Json* function = FindMember(call, "function");
  if (function == nullptr || !function->is_object()) {
    return InvalidParam(inner, "must be an object");
  }
  HEARTH_ASSIGN_OR_RETURN(read.name, RequireString(*function, "name", inner));
  HEARTH_ASSIGN_OR_RETURN(read.arguments, RequireString(*function, "arguments", inner));
  return read;
}

absl::StatusOr<std::vector<ToolCall>> ReadCalls(const Json& message, const std::string& where) {
  std::vector<ToolCall> read;
  const Json* calls = FindMember(message, "tool_calls");
  if (calls == nullptr) return read;
  const std::string param = absl::StrCat(where, ".tool_calls");
  if (!calls->is_array()) return InvalidParam(param, "must be a list of calls");
  for (size_t i = 0; i < calls->size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(ToolCall call, ReadCall((*calls)[i], absl::StrCat(param, "[", i, "]")));
    read.push_back(std::move(call));
  }
  return read;
}

absl::StatusOr<Message> ReadMessage(const Json& json, const std::string& where) {
  if (!json.is_object()) return InvalidParam(where, "must be an object");
  HEARTH_ASSIGN_OR_RETURN(const Role role, ReadRole(json, where));
  Message message{role, ""};
  HEARTH_ASSIGN_OR_RETURN(message.tool_calls, ReadCalls(json, where));
  if (role == Role::kTool) {
    HEARTH_ASSIGN_OR_RETURN(message.tool_call_id, RequireString(json, "tool_call_id", where));
  }
  // What made calls need not have said anything.
  const Json* content = FindMember(json, "content");
  if (content == nullptr && !message.tool_calls.empty()) return message;
  const std::string param = absl::StrCat(where, ".content");
  if (content == nullptr) return InvalidParam(param, "must be a string or a list of text parts");
  HEARTH_ASSIGN_OR_RETURN(message.content, ReadTextContent(*content, param, {"text"}));
  return message;
}

}  // namespace

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
  request.prompts = {std::move(read)};
  request.names.prompt = "messages";
  return absl::OkStatus();
}

}  // namespace hearth::server
