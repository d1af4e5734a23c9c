#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/status.h"

namespace hearth::server::rpc {
namespace {

std::optional<Role> ReadRole(v1::Role wire) {
  switch (wire) {
    case v1::ROLE_SYSTEM:
      return Role::kSystem;
    case v1::ROLE_USER:
      return Role::kUser;
    case v1::ROLE_ASSISTANT:
      return Role::kAssistant;
    case v1::ROLE_TOOL:
      return Role::kTool;
    default:  // unspecified, or a number we do not know
      return std::nullopt;
  }
}

absl::StatusOr<std::vector<Message>> ReadMessages(const v1::ChatRequest& wire) {
  std::vector<Message> messages;
  messages.reserve(wire.messages_size());
  for (int i = 0; i < wire.messages_size(); ++i) {
    const v1::Message& message = wire.messages(i);
    const std::optional<Role> role = ReadRole(message.role());
    if (!role) {
      return InvalidParam(absl::StrCat("messages[", i, "].role"),
                          "must be ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL");
    }
    Message read{*role, message.content(), {}, message.tool_call_id()};
    for (const v1::ToolCall& call : message.tool_calls()) {
      read.tool_calls.push_back({call.id(), call.name(), call.arguments()});
    }
    messages.push_back(std::move(read));
  }
  return messages;
}

absl::StatusOr<ToolChoice> ReadToolChoice(const v1::ToolChoice& wire) {
  ToolChoice choice;
  choice.allowed.assign(wire.allowed().begin(), wire.allowed().end());
  switch (wire.mode()) {
    case v1::ToolChoice::AUTO:
      return choice;
    case v1::ToolChoice::NONE:
      choice.mode = ToolChoice::Mode::kNone;
      return choice;
    case v1::ToolChoice::REQUIRED:
      choice.mode = ToolChoice::Mode::kRequired;
      return choice;
    default:  // a number we do not know
      return InvalidParam("tool_choice.mode", "must be AUTO, NONE or REQUIRED");
  }
}

}  // namespace

absl::StatusOr<GenerationRequest> Chat(const v1::ChatRequest& wire) {
  GenerationRequest request;
  request.model = wire.model();
  request.names.prompt = "messages";
  HEARTH_ASSIGN_OR_RETURN(std::vector<Message> messages, ReadMessages(wire));
  request.prompts = {std::move(messages)};
  for (const v1::Tool& tool : wire.tools()) {
    request.tools.push_back({tool.name(), tool.description(), tool.parameters()});
  }
  request.parallel_tool_calls = !wire.has_parallel_tool_calls() || wire.parallel_tool_calls();
  if (wire.tool_choice().has_name()) {
    if (wire.tool_choice().allowed_size() > 0) {
      return InvalidParam("tool_choice.allowed", "goes with a mode, not with a name");
    }
    request.CallOnly(wire.tool_choice().name());
  } else {
    HEARTH_ASSIGN_OR_RETURN(request.tool_choice, ReadToolChoice(wire.tool_choice()));
  }
  HEARTH_RETURN_IF_ERROR(ReadOptions(wire.options(), request));
  return request;
}

}  // namespace hearth::server::rpc
