#include <utility>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/status.h"

namespace hearth::server::rpc {

absl::StatusOr<GenerationRequest> Generate(const v1::GenerateRequest& wire) {
  GenerationRequest request;
  request.model = wire.model();
  switch (wire.prompt_case()) {
    case v1::GenerateRequest::kText:
      request.prompts = {wire.text()};
      request.names.prompt = "text";
      break;
    case v1::GenerateRequest::kTokens:
      request.prompts = {
          std::vector<int64_t>(wire.tokens().ids().begin(), wire.tokens().ids().end())};
      request.names.prompt = "tokens.ids";
      break;
    case v1::GenerateRequest::PROMPT_NOT_SET:
      return InvalidParam("prompt", "text or tokens must be set");
  }
  request.echo = wire.echo();
  HEARTH_RETURN_IF_ERROR(ReadOptions(wire.options(), request));
  return request;
}

}  // namespace hearth::server::rpc
