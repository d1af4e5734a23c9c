// Runs a generation for one HTTP client: whole, or as events, in the endpoint's own wire form.
#ifndef HEARTH_SERVER_HTTP_GENERATION_H_
#define HEARTH_SERVER_HTTP_GENERATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/generation_request.h"
#include "server/http/endpoint.h"
#include "server/http/reply_writer.h"

namespace hearth::server {

// What an endpoint has read of a request.
struct GenerationCall {
  GenerationRequest request;
  bool stream = false;
  std::vector<std::string> ignored;  // fields that nobody's schema has
};

// A generation that fails before its reply has begun is an error; later, an event with an error
// object ends the stream. A streamed reply begins with the first output that is written, or sooner
// when the wait grows long. A client that has gone cancels the generation; one that has only closed
// its sending side is still served its stream, but not a whole reply.
absl::StatusOr<HttpReply> Generate(Daemon& daemon, const HttpRequest& http, GenerationCall call,
                                   const MakeReplyWriter& make_writer);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_GENERATION_H_
