// Runs a generation for one HTTP client and writes it as OpenAI does: whole, or as events.
#ifndef HEARTH_SERVER_HTTP_GENERATION_H_
#define HEARTH_SERVER_HTTP_GENERATION_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/http/endpoint.h"
#include "server/http/generation_fields.h"
#include "server/http/json.h"

namespace hearth::server {

// What differs between the two endpoints' replies.
struct ReplyShape {
  const char* id_prefix;
  const char* object;
  const char* chunk_object;
  // Members of a choice beside index, logprobs and finish_reason.
  OrderedJson (*whole)(std::string text);
  OrderedJson (*opening)();  // of a stream's first chunk of each choice; null: there is none
  OrderedJson (*delta)(std::string text);
  OrderedJson (*closing)();  // of the chunk that carries finish_reason
};

// A generation that fails before its reply has begun is an error; later, an event with an error
// object ends the stream without [DONE]. A streamed reply begins with the first Output, or sooner
// when the wait grows long. A client that has gone cancels the generation; one that has only closed
// its sending side is still served its stream, but not a whole reply.
absl::StatusOr<HttpReply> Generate(Daemon& daemon, const HttpRequest& http, GenerationCall call,
                                   const ReplyShape& shape);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_GENERATION_H_
