#include <memory>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prompt_requests.h"

namespace hearth::server::rpc {

absl::StatusOr<PromptJob> PinPrefix(const Daemon& daemon, const Caller& caller,
                                    const v1::PinPrefixRequest& wire) {
  HEARTH_ASSIGN_OR_RETURN(const GenerationRequest prefix, ReadPrefix(wire, caller));
  HEARTH_ASSIGN_OR_RETURN(Pinning pinning, PinRequests(daemon, prefix, wire.name()));
  PromptAnswer answer = [tokens = pinning.tokens](const std::vector<PromptResult>&) {
    auto response = std::make_unique<v1::PinPrefixResponse>();
    response->set_tokens(tokens);
    return response;
  };
  return PromptJob{std::move(pinning.requests), std::move(answer)};
}

}  // namespace hearth::server::rpc
