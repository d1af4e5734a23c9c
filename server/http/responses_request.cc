#include "server/http/responses_request.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/constraint_fields.h"
#include "server/http/generation_fields.h"
#include "server/http/text_content.h"
#include "server/http/tool_fields.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Conversation = std::vector<Message>;

std::optional<Role> RoleOf(std::string_view name) {
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  return std::nullopt;
}

absl::StatusOr<std::string> ReadText(const Json& item, const char* name, const std::string& where) {
  const Json* content = FindMember(item, name);
  const Json none;
  return ReadTextContent(content == nullptr ? none : *content, absl::StrCat(where, ".", name),
                         {"input_text", "output_text", "text"});
}

absl::Status ReadMessageItem(const Json& item, const std::string& where, Conversation& messages) {
  const Json* name = FindMember(item, "role");
  const std::optional<Role> role =
      name != nullptr && name->is_string() ? RoleOf(StringOf(*name)) : std::nullopt;
  if (!role) {
    return InvalidParam(absl::StrCat(where, ".role"),
                        "must be system, developer, user or assistant");
  }
  HEARTH_ASSIGN_OR_RETURN(std::string content, ReadText(item, "content", where));
  messages.push_back({*role, std::move(content)});
  return absl::OkStatus();
}

// The items of one turn of the assistant, its words and its calls, are one message.
absl::Status ReadCallItem(const Json& item, const std::string& where, Conversation& messages,
                          FieldNames& names) {
  ToolCall call;
  HEARTH_ASSIGN_OR_RETURN(call.id, RequireString(item, "call_id", where));
  HEARTH_ASSIGN_OR_RETURN(call.name, RequireString(item, "name", where));
  HEARTH_ASSIGN_OR_RETURN(call.arguments, RequireString(item, "arguments", where));
  if (messages.empty() || messages.back().role != Role::kAssistant) {
    messages.push_back({Role::kAssistant, ""});
  }
  messages.back().tool_calls.push_back(std::move(call));
  names.calls.push_back(where);
  return absl::OkStatus();
}

absl::Status ReadCallOutputItem(const Json& item, const std::string& where,
                                Conversation& messages) {
  HEARTH_ASSIGN_OR_RETURN(std::string id, RequireString(item, "call_id", where));
  HEARTH_ASSIGN_OR_RETURN(std::string output, ReadText(item, "output", where));
  messages.push_back({Role::kTool, std::move(output), {}, std::move(id)});
  return absl::OkStatus();
}

absl::Status ReadItem(const Json& item, const std::string& where, Conversation& messages,
                      FieldNames& names) {
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(item, where));
  if (type.empty() || type == "message") return ReadMessageItem(item, where, messages);
  if (type == "function_call") return ReadCallItem(item, where, messages, names);
  if (type == "function_call_output") return ReadCallOutputItem(item, where, messages);
  return InvalidParam(absl::StrCat(where, ".type"),
                      "must be message, function_call or function_call_output; nothing is stored "
                      "that could be referred to",
                      "unsupported_value");
}

absl::Status ReadInput(const Json& body, GenerationRequest& request) {
  Conversation messages;
  FieldNames& names = request.names;
  HEARTH_ASSIGN_OR_RETURN(std::optional<std::string> system, GetString(body, "instructions"));
  if (system) {
    messages.push_back({Role::kSystem, *std::move(system)});
    names.messages.push_back("instructions");
  }
  const Json* input = FindMember(body, "input");
  if (input != nullptr && input->is_string()) {
    messages.push_back({Role::kUser, StringOf(*input)});
    names.messages.push_back("input");
  } else if (input == nullptr || !input->is_array() || input->empty()) {
    return InvalidParam("input", "must be a string or a list of at least one item");
  } else {
    for (size_t i = 0; i < input->size(); ++i) {
      const std::string where = absl::StrCat("input[", i, "]");
      HEARTH_RETURN_IF_ERROR(ReadItem((*input)[i], where, messages, names));
      names.messages.resize(messages.size(), where);
    }
  }
  request.prompts = {std::move(messages)};
  names.prompt = "input";
  return absl::OkStatus();
}

absl::Status ReadFormat(const Json& body, GenerationRequest& request) {
  const Json* text = FindMember(body, "text");
  if (text == nullptr) return absl::OkStatus();
  if (!text->is_object()) return InvalidParam("text", "must be an object");
  const Json* format = FindMember(*text, "format");
  if (format == nullptr) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(*format, "text.format"));
  if (type == "text") return absl::OkStatus();
  if (type == "json_object") {
    request.constraint = {"text.format", JsonSchemaSource{}};
    return absl::OkStatus();
  }
  if (type != "json_schema") {
    return InvalidParam("text.format.type", "must be text, json_object or json_schema");
  }
  HEARTH_RETURN_IF_ERROR(RequireString(*format, "name", "text.format").status());
  const Json* schema = FindMember(*format, "schema");
  if (schema == nullptr || !(schema->is_object() || schema->is_boolean())) {
    return InvalidParam("text.format.schema", "must be a JSON Schema");
  }
  return SetSchema(*schema, "text.format.schema", request);
}

// What `include` may name. All but the first are of items that do not occur here.
constexpr std::string_view kLogprobs = "message.output_text.logprobs";
constexpr std::string_view kIncludes[] = {kLogprobs,
                                          "reasoning.encrypted_content",
                                          "message.input_image.image_url",
                                          "file_search_call.results",
                                          "web_search_call.results",
                                          "web_search_call.action.sources",
                                          "computer_call_output.output.image_url",
                                          "code_interpreter_call.outputs"};

absl::Status ReadLogprobs(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.top_logprobs, GetInteger(body, "top_logprobs"));
  const Json* include = FindMember(body, "include");
  if (include == nullptr) return absl::OkStatus();
  if (!include->is_array()) return InvalidParam("include", "must be a list of strings");
  for (const Json& name : *include) {
    const bool known = name.is_string() && std::find(std::begin(kIncludes), std::end(kIncludes),
                                                     StringOf(name)) != std::end(kIncludes);
    if (!known) return InvalidParam("include", "names what no response has");
    if (StringOf(name) == kLogprobs && !request.top_logprobs) request.top_logprobs = 0;
  }
  return absl::OkStatus();
}

absl::Status ReadSampling(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.max_tokens, GetInteger(body, "max_output_tokens"));
  request.names.max_tokens = "max_output_tokens";
  HEARTH_ASSIGN_OR_RETURN(request.temperature, GetNumber(body, "temperature"));
  HEARTH_ASSIGN_OR_RETURN(request.top_p, GetNumber(body, "top_p"));
  HEARTH_RETURN_IF_ERROR(ReadTruncation(body, request));
  return ReadLogprobs(body, request);
}

// Every member that a response has of its request, as it was or with its default.
Json Echo(const Json& body) {
  struct Default {
    const char* name;
    Json value;
  };
  const Default defaults[] = {{"background", false},
                              {"instructions", nullptr},
                              {"max_output_tokens", nullptr},
                              {"max_tool_calls", nullptr},
                              {"metadata", Json::object()},
                              {"parallel_tool_calls", true},
                              {"previous_response_id", nullptr},
                              {"prompt_cache_key", nullptr},
                              {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                              {"safety_identifier", nullptr},
                              {"service_tier", "default"},
                              {"store", false},
                              {"temperature", 1.0},
                              {"text", {{"format", {{"type", "text"}}}}},
                              {"tool_choice", "auto"},
                              {"tools", Json::array()},
                              {"top_logprobs", 0},
                              {"top_p", 1.0},
                              {"truncation", "disabled"},
                              {"user", nullptr}};
  Json echo = Json::object();
  for (const auto& [name, value] : defaults) {
    const Json* sent = FindMember(body, name);
    echo[name] = sent == nullptr ? value : *sent;
  }
  return echo;
}

}  // namespace

absl::Status ReadResponses(const Json& body, ResponsesCall& call) {
  GenerationRequest& request = call.request;
  HEARTH_RETURN_IF_ERROR(ReadInput(body, request));
  HEARTH_RETURN_IF_ERROR(ReadOpenAiTools(body, ToolForm::kFlat, request));
  HEARTH_RETURN_IF_ERROR(ReadFormat(body, request));
  HEARTH_RETURN_IF_ERROR(ReadSampling(body, request));
  call.echo = Echo(body);
  return absl::OkStatus();
}

}  // namespace hearth::server
