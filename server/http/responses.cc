// POST /v1/responses, stateless: nothing is stored, so a conversation comes whole in `input`, and
// `store` may only be false.
#include <memory>
#include <utility>

#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/http/response_reply.h"
#include "server/http/responses_request.h"

namespace hearth::server {

absl::StatusOr<HttpReply> Responses(Daemon& daemon, HttpRequest& request) {
  ResponsesCall call;
  HEARTH_RETURN_IF_ERROR(
      ReadGeneration(daemon, request, Dialect::kResponses, call,
                     [&call](const Json& body) { return ReadResponses(body, call); }));
  Json echo = std::move(call.echo);
  return Generate(daemon, request, std::move(call),
                  [&echo](const Daemon& served, const Session& session) {
                    return std::make_unique<ResponseReply>(served, session, std::move(echo));
                  });
}

}  // namespace hearth::server
