#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prompt_requests.h"
#include "server/tokenization.h"

namespace hearth::server::rpc {

absl::Status RenderChat(Daemon& daemon, const Caller&, const v1::RenderChatRequest& wire,
                        v1::RenderChatResponse& response) {
  v1::ChatRequest chat = wire.chat();
  chat.clear_options();
  HEARTH_ASSIGN_OR_RETURN(const GenerationRequest request, Chat(chat));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, RenderConversation(daemon, request));
  response.mutable_ids()->Add(ids.begin(), ids.end());
  response.set_text(SpellPrompt(daemon.engine().tokenizer(), ids));
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
