// The JSON object that the body of a request is.
#ifndef HEARTH_SERVER_HTTP_DOCUMENT_H_
#define HEARTH_SERVER_HTTP_DOCUMENT_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/http/endpoint.h"
#include "server/http/json.h"

namespace hearth::server {

// Parses the body, takes it out of `http`, and lets `read` have the object. A document takes many
// times its text: one at a time, of all connections, bounds their memory.
absl::Status ReadDocument(HttpRequest& http,
                          absl::FunctionRef<absl::Status(const Json& object)> read);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_DOCUMENT_H_
