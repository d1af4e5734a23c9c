#include "server/http/messages_request.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/constraint_fields.h"
#include "server/http/text_content.h"
#include "server/http/tool_fields.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Conversation = std::vector<Message>;

absl::Status ReadSystem(const Json& body, Conversation& messages, FieldNames& names) {
  const Json* system = FindMember(body, "system");
  if (system == nullptr) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(std::string text, ReadTextContent(*system, "system", {"text"}));
  messages.push_back({Role::kSystem, std::move(text)});
  names.messages.push_back("system");
  return absl::OkStatus();
}

absl::Status ReadToolUse(const Json& block, const std::string& where, Message& message) {
  ToolCall call;
  HEARTH_ASSIGN_OR_RETURN(call.id, RequireString(block, "id", where));
  HEARTH_ASSIGN_OR_RETURN(call.name, RequireString(block, "name", where));
  const Json* input = FindMember(block, "input");
  if (input == nullptr || !input->is_object()) {
    return InvalidParam(absl::StrCat(where, ".input"), "must be an object");
  }
  call.arguments = DumpJson(*input);
  message.tool_calls.push_back(std::move(call));
  return absl::OkStatus();
}

// What a tool answered. No chat format has a place for is_error, so the words say it.
absl::StatusOr<Message> ReadToolResult(const Json& block, const std::string& where) {
  Message message{Role::kTool, ""};
  HEARTH_ASSIGN_OR_RETURN(message.tool_call_id, RequireString(block, "tool_use_id", where));
  const Json* error = FindMember(block, "is_error");
  if (error != nullptr && !error->is_boolean()) {
    return InvalidParam(absl::StrCat(where, ".is_error"), "must be true or false");
  }
  if (error != nullptr && *error == true) message.content = "Error: ";
  const Json* content = FindMember(block, "content");
  if (content == nullptr || (content->is_array() && content->empty())) return message;
  HEARTH_ASSIGN_OR_RETURN(const std::string text,
                          ReadTextContent(*content, absl::StrCat(where, ".content"), {"text"}));
  message.content += text;
  return message;
}

// A turn in blocks. The assistant's words and calls are one message; of the user's, each tool
// result is one, and the words between them.
class TurnReader {
 public:
  TurnReader(Role role, std::string where, Conversation& messages, FieldNames& names)
      : role_(role), where_(std::move(where)), messages_(messages), names_(names) {}

  absl::Status Read(const Json& block, const std::string& where) {
    HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(block, where));
    if (type == "text") {
      HEARTH_ASSIGN_OR_RETURN(const std::string text, RequireString(block, "text", where));
      Open().content += text;
      return absl::OkStatus();
    }
    if (type == "tool_use" && role_ == Role::kAssistant) {
      names_.calls.push_back(where);
      return ReadToolUse(block, where, Open());
    }
    if (type == "tool_result" && role_ == Role::kUser) {
      HEARTH_ASSIGN_OR_RETURN(Message result, ReadToolResult(block, where));
      messages_.push_back(std::move(result));
      names_.messages.push_back(where);
      open_ = false;
      return absl::OkStatus();
    }
    return InvalidParam(absl::StrCat(where, ".type"),
                        "must be text, in the assistant's turns tool_use, in the user's "
                        "tool_result",
                        "unsupported_value");
  }

 private:
  Message& Open() {
    if (!std::exchange(open_, true)) {
      messages_.push_back({role_, ""});
      names_.messages.push_back(where_);
    }
    return messages_.back();
  }

  const Role role_;
  const std::string where_;
  Conversation& messages_;
  FieldNames& names_;
  bool open_ = false;  // the last message takes more
};

absl::StatusOr<Role> ReadRole(const Json& message, const std::string& where) {
  if (!message.is_object()) return InvalidParam(where, "must be an object");
  HEARTH_ASSIGN_OR_RETURN(const std::string name, RequireString(message, "role", where));
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "system") return Role::kSystem;
  return InvalidParam(absl::StrCat(where, ".role"), "must be user, assistant or system");
}

absl::Status ReadTurn(const Json& message, const std::string& where, Conversation& messages,
                      FieldNames& names) {
  HEARTH_ASSIGN_OR_RETURN(const Role role, ReadRole(message, where));
  const Json* content = FindMember(message, "content");
  if (content != nullptr && content->is_string()) {
    messages.push_back({role, StringOf(*content)});
    names.messages.push_back(where);
    return absl::OkStatus();
  }
  const std::string param = absl::StrCat(where, ".content");
  if (content == nullptr || !content->is_array() || content->empty()) {
    return InvalidParam(param, "must be a string or a list of at least one block");
  }
  TurnReader turn(role, where, messages, names);
  for (size_t i = 0; i < content->size(); ++i) {
    HEARTH_RETURN_IF_ERROR(turn.Read((*content)[i], absl::StrCat(param, "[", i, "]")));
  }
  return absl::OkStatus();
}

absl::Status ReadConversation(const Json& body, GenerationRequest& request) {
  Conversation read;
  FieldNames& names = request.names;
  HEARTH_RETURN_IF_ERROR(ReadSystem(body, read, names));
  const Json* messages = FindMember(body, "messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return InvalidParam("messages", "must be a list of at least one message");
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    HEARTH_RETURN_IF_ERROR(
        ReadTurn((*messages)[i], absl::StrCat("messages[", i, "]"), read, names));
  }
  if (read.back().role == Role::kAssistant) {
    return InvalidParam("messages",
                        "must not end with the assistant's words; they cannot be continued",
                        "unsupported_value");
  }
  request.prompts = {std::move(read)};
  names.prompt = "messages";
  names.arguments = "input";
  return absl::OkStatus();
}

absl::StatusOr<Tool> ReadTool(const Json& tool, const std::string& where) {
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(tool, where));
  if (!type.empty() && type != "custom") {
    return InvalidParam(absl::StrCat(where, ".type"), "only custom tools are supported",
                        "unsupported_value");
  }
  HEARTH_ASSIGN_OR_RETURN(Tool read, ReadFunction(tool, where, "input_schema"));
  if (!read.parameters.empty()) return read;
  return InvalidParam(absl::StrCat(where, ".input_schema"), "must be a JSON Schema");
}

absl::Status ReadToolChoice(const Json& body, GenerationRequest& request) {
  const Json* value = FindMember(body, "tool_choice");
  if (value == nullptr) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(*value, "tool_choice"));
  if (type == "none") {
    request.tool_choice.mode = ToolChoice::Mode::kNone;
  } else if (type == "any") {
    request.tool_choice.mode = ToolChoice::Mode::kRequired;
  } else if (type == "tool") {
    HEARTH_ASSIGN_OR_RETURN(std::string name, RequireString(*value, "name", "tool_choice"));
    request.CallOnly(std::move(name));
    request.names.tool_choice = "tool_choice.name";
  } else if (type != "auto") {
    return InvalidParam("tool_choice.type", "must be auto, any, tool or none");
  }
  const Json* single = FindMember(*value, "disable_parallel_tool_use");
  if (single == nullptr) return absl::OkStatus();
  if (!single->is_boolean()) {
    return InvalidParam("tool_choice.disable_parallel_tool_use", "must be true or false");
  }
  if (*single == true) request.parallel_tool_calls = false;
  return absl::OkStatus();
}

absl::Status ReadTools(const Json& body, GenerationRequest& request) {
  request.names.parameters = "input_schema";
  HEARTH_RETURN_IF_ERROR(ReadToolList(body, ReadTool, request));
  return ReadToolChoice(body, request);
}

absl::Status ReadFormat(const Json& format, const std::string& where, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(format, where));
  if (type != "json_schema") {
    return InvalidParam(absl::StrCat(where, ".type"), "must be json_schema");
  }
  const std::string param = absl::StrCat(where, ".schema");
  const Json* schema = FindMember(format, "schema");
  if (schema == nullptr || !schema->is_object()) {
    return InvalidParam(param, "must be a JSON Schema");
  }
  return SetSchema(*schema, param, request);
}

// Of two names, `output_format` is what SDKs sent before there was the other.
absl::Status ReadFormats(const Json& body, GenerationRequest& request) {
  if (const Json* config = FindMember(body, "output_config")) {
    if (!config->is_object()) return InvalidParam("output_config", "must be an object");
    if (const Json* format = FindMember(*config, "format")) {
      HEARTH_RETURN_IF_ERROR(ReadFormat(*format, "output_config.format", request));
    }
  }
  const Json* format = FindMember(body, "output_format");
  return format == nullptr ? absl::OkStatus() : ReadFormat(*format, "output_format", request);
}

absl::Status ReadStopSequences(const Json& body, GenerationRequest& request) {
  request.names.stop = "stop_sequences";
  const Json* list = FindMember(body, "stop_sequences");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array()) return InvalidParam("stop_sequences", "must be a list of strings");
  for (const Json& text : *list) {
    if (!text.is_string()) return InvalidParam("stop_sequences", "must be a list of strings");
    request.stop.push_back(StringOf(text));
  }
  return absl::OkStatus();
}

absl::Status ReadSampling(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.max_tokens, GetInteger(body, "max_tokens"));
  if (!request.max_tokens) return InvalidParam("max_tokens", "is missing");
  HEARTH_ASSIGN_OR_RETURN(request.temperature, GetNumber(body, "temperature"));
  HEARTH_ASSIGN_OR_RETURN(request.top_p, GetNumber(body, "top_p"));
  HEARTH_ASSIGN_OR_RETURN(request.top_k, GetInteger(body, "top_k"));
  return ReadStopSequences(body, request);
}

}  // namespace

absl::Status ReadMessagesInput(const Json& body, GenerationRequest& request) {
  HEARTH_RETURN_IF_ERROR(ReadConversation(body, request));
  HEARTH_RETURN_IF_ERROR(ReadTools(body, request));
  return ReadFormats(body, request);
}

absl::Status ReadMessagesRequest(const Json& body, GenerationRequest& request) {
  HEARTH_RETURN_IF_ERROR(ReadMessagesInput(body, request));
  return ReadSampling(body, request);
}

}  // namespace hearth::server
