#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
    default:  // unspecified, or a number we do not know
      return std::nullopt;
  }
}

}  // namespace

absl::StatusOr<GenerationRequest> Chat(const v1::ChatRequest& wire) {
  std::vector<Message> messages;
  messages.reserve(wire.messages_size());
  for (int i = 0; i < wire.messages_size(); ++i) {
    const std::optional<Role> role = ReadRole(wire.messages(i).role());
    if (!role) {
      return InvalidParam(absl::StrCat("messages[", i, "].role"),
                          "must be ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT");
    }
    messages.push_back({*role, wire.messages(i).content()});
  }
  GenerationRequest request;
  request.model = wire.model();
  request.prompt = std::move(messages);
  request.prompt_name = "messages";
  ReadOptions(wire.options(), request);
  return request;
}

}  // namespace hearth::server::rpc
