// The body of a request to /v1/responses.
#ifndef HEARTH_SERVER_HTTP_RESPONSES_REQUEST_H_
#define HEARTH_SERVER_HTTP_RESPONSES_REQUEST_H_

#include "absl/status/status.h"
#include "server/http/generation.h"
#include "server/http/json.h"

namespace hearth::server {

struct ResponsesCall : GenerationCall {
  Json echo;  // what the response repeats
};

// What ReadGeneration leaves. REQUIRES: CheckFields has taken the body.
absl::Status ReadResponses(const Json& body, ResponsesCall& call);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_RESPONSES_REQUEST_H_
