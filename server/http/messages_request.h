// The body of a request to /v1/messages and /v1/messages/count_tokens.
#ifndef HEARTH_SERVER_HTTP_MESSAGES_REQUEST_H_
#define HEARTH_SERVER_HTTP_MESSAGES_REQUEST_H_

#include "absl/status/status.h"
#include "server/generation_request.h"
#include "server/http/json.h"

namespace hearth::server {

// What counts as input: conversation, tools, and the form of the text.
// REQUIRES: CheckFields has taken the body, as below.
absl::Status ReadMessagesInput(const Json& body, GenerationRequest& request);

// The input, and how it is to be continued.
absl::Status ReadMessagesRequest(const Json& body, GenerationRequest& request);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_MESSAGES_REQUEST_H_
