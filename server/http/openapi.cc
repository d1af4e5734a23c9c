// GET /openapi.json: the HTTP API as an OpenAPI 3.1 document, which tests hold to endpoints.inc and
// the tables of fields.
#include <string_view>

#include "server/http/endpoint.h"

namespace hearth::server {
namespace {

constexpr std::string_view kDocument =
#include "server/http/openapi_json.inc"
    ;

}  // namespace

absl::StatusOr<HttpReply> OpenApi(Daemon&, HttpRequest&) {
  HttpReply reply;
  reply.body = kDocument;
  return reply;
}

}  // namespace hearth::server
