// JSON → GenerationRequest, as far as endpoints read it alike. Kinds are checked here, ranges by
// Session::Start.
#ifndef HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_
#define HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/http/endpoint.h"
#include "server/http/fields.h"
#include "server/http/generation.h"
#include "server/http/json.h"
#include "server/http/openai_reply.h"

namespace hearth::server {

struct OpenAiCall : GenerationCall {
  StreamOptions stream_options;
};

// What every generating endpoint reads: the deadline, the client, whose fields the body has, the
// model (absent: the served one) and whether to stream; `read` reads the rest. A field that is null
// is absent. Takes the body out of `http`.
absl::Status ReadGeneration(Daemon& daemon, HttpRequest& http, Dialect dialect,
                            GenerationCall& call,
                            absl::FunctionRef<absl::Status(const Json& body)> read);

// "model"; empty where it is absent.
absl::StatusOr<std::string> ReadModel(const Json& body);

// "truncation": whether the oldest of a prompt that does not fit is left out.
absl::Status ReadTruncation(const Json& body, GenerationRequest& request);

// What chat and completions read alike; `read_prompt` what they do not.
absl::StatusOr<OpenAiCall> ReadGenerationCall(
    Daemon& daemon, HttpRequest& http, Dialect dialect,
    absl::Status (*read_prompt)(const Json& body, GenerationRequest& request));

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_
