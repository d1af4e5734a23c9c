// What an HTTP endpoint is: a function from a checked request to a reply. One file each; the rows
// are in endpoints.inc.
#ifndef HEARTH_SERVER_HTTP_ENDPOINT_H_
#define HEARTH_SERVER_HTTP_ENDPOINT_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/daemon.h"
#include "server/http/body.h"
#include "server/http/client_socket.h"
#include "server/http/request_head.h"
#include "server/http/sse.h"

namespace hearth::server {

// A request that has passed the gate: well-formed, from an allowed host and origin, authenticated
// where the row asks for it, with its body whole.
struct HttpRequest {
  explicit HttpRequest(const ClientSocket& socket_in) : socket(socket_in) {}

  RequestHead head;
  std::string path_tail;  // what {id} stands for, percent-decoded
  Body body;
  std::string client;          // fairness key: the name of the API key, "uid:N", or empty
  const ClientSocket& socket;  // to see whether the client is still there; peer_uid
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  // When set, sends events, or a body in pieces, in place of `body`, on the connection's thread.
  // False: the connection is to end here.
  std::function<bool(SseStream&)> stream;
};

// Runs on the connection's thread and may wait.
using Endpoint = absl::StatusOr<HttpReply> (*)(Daemon& daemon, HttpRequest& request);

// Whose clients an error is written for.
enum class ErrorForm { kOpenAi, kAnthropic };

struct EndpointRow {
  std::string_view method;
  std::string_view path;  // may end in "/{id}", which stands for the rest of the path
  Endpoint endpoint;
  bool needs_key;
  ErrorForm errors;
};
absl::Span<const EndpointRow> Endpoints();

// The endpoint functions of endpoints.inc.
#define HEARTH_ENDPOINT(method, path, function, needs_key, errors) \
  absl::StatusOr<HttpReply> function(Daemon& daemon, HttpRequest& request);
#include "server/http/endpoints.inc"
#undef HEARTH_ENDPOINT

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_ENDPOINT_H_
