// The prefix of ScoreRequest and PinPrefixRequest.
#include <utility>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/status.h"

namespace hearth::server::rpc {

template <typename Wire>
absl::StatusOr<GenerationRequest> ReadPrefix(const Wire& wire, const Caller& caller) {
  GenerationRequest request;
  switch (wire.prefix_case()) {
    case Wire::kChat: {
      if (wire.chat().options().ByteSizeLong() > 0) {
        return InvalidParam("chat.options", "have no meaning here; a cache_key stands beside chat");
      }
      HEARTH_ASSIGN_OR_RETURN(request, Chat(wire.chat()));
      break;
    }
    case Wire::kText:
      request.prompts = {wire.text()};
      request.names.prompt = "text";
      break;
    case Wire::kTokens:
      request.prompts = {
          std::vector<int64_t>(wire.tokens().ids().begin(), wire.tokens().ids().end())};
      request.names.prompt = "tokens.ids";
      break;
    case Wire::PREFIX_NOT_SET:
      return InvalidParam("prefix", "chat, text or tokens must be set");
  }
  request.cache_key = wire.cache_key();
  request.client = caller.client;
  request.timeout = caller.timeout;
  return request;
}

template absl::StatusOr<GenerationRequest> ReadPrefix(const v1::ScoreRequest&, const Caller&);
template absl::StatusOr<GenerationRequest> ReadPrefix(const v1::PinPrefixRequest&, const Caller&);

}  // namespace hearth::server::rpc
