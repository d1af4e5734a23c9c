// GET /health: the process lives and answers. Needs no key; says nothing else.
#include "server/http/endpoint.h"

namespace hearth::server {

absl::StatusOr<HttpReply> Health(Daemon&, HttpRequest&) {
  HttpReply reply;
  reply.body = R"({"status":"ok"})";
  return reply;
}

}  // namespace hearth::server
