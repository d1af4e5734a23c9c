// GET /version: what runs here.
#include "server/version.h"

#include "server/http/endpoint.h"
#include "server/http/json.h"

namespace hearth::server {

absl::StatusOr<HttpReply> Version(Daemon&, HttpRequest&) {
  HttpReply reply;
  reply.body = DumpJson({{"version", kVersion}, {"compiler", __VERSION__}, {"api", "hearth.v1"}});
  return reply;
}

}  // namespace hearth::server
