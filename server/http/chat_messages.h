// The messages of a chat request.
#ifndef HEARTH_SERVER_HTTP_CHAT_MESSAGES_H_
#define HEARTH_SERVER_HTTP_CHAT_MESSAGES_H_

#include "absl/status/status.h"
#include "server/generation_request.h"
#include "server/http/json.h"

namespace hearth::server {

// "messages" of a chat request's body.
absl::Status ReadMessages(const Json& body, GenerationRequest& request);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_CHAT_MESSAGES_H_
