// GET /ready: 200 when generations are taken, 503 with the code "loading" or "draining" otherwise.
#include "engine/status_macros.h"
#include "server/http/endpoint.h"

namespace hearth::server {

absl::StatusOr<HttpReply> Ready(Daemon& daemon, HttpRequest&) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  HttpReply reply;
  reply.body = R"({"status":"ready"})";
  return reply;
}

}  // namespace hearth::server
