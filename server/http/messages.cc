// POST /v1/messages and /v1/messages/count_tokens, as Anthropic's API has them. A conversation ends
// with the user's words: the assistant's cannot be continued.
#include <memory>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/http/message_reply.h"
#include "server/http/messages_request.h"
#include "server/prompt_requests.h"

namespace hearth::server {

absl::StatusOr<HttpReply> Messages(Daemon& daemon, HttpRequest& request) {
  GenerationCall call;
  const auto read = [&call](const Json& body) { return ReadMessagesRequest(body, call.request); };
  HEARTH_RETURN_IF_ERROR(ReadGeneration(daemon, request, Dialect::kMessages, call, read));
  return Generate(daemon, request, std::move(call),
                  [](const Daemon& served, const Session& session) {
                    return std::make_unique<MessageReply>(served, session);
                  });
}

absl::StatusOr<HttpReply> CountTokens(Daemon& daemon, HttpRequest& request) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  GenerationCall call;
  HEARTH_RETURN_IF_ERROR(
      ReadGeneration(daemon, request, Dialect::kMessages, call,
                     [&call](const Json& body) { return ReadMessagesInput(body, call.request); }));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> prompt,
                          RenderConversation(daemon, call.request));
  HttpReply reply;
  reply.body = DumpJson({{"input_tokens", prompt.size()}});
  NameIgnored(call.ignored, reply);
  return reply;
}

}  // namespace hearth::server
