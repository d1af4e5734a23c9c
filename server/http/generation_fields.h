// What the two generating endpoints read from a request alike: JSON → GenerationRequest.
#ifndef HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_
#define HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/http/endpoint.h"
#include "server/http/fields.h"
#include "server/http/json.h"
#include "server/session.h"

namespace hearth::server {

struct GenerationCall {
  GenerationRequest request;
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string> ignored;  // fields that nobody's schema has
};

// Kinds are checked here, ranges by Session::Start. A field that is null is absent; a model that is
// absent is the served one. `read_prompt` reads what the dialects ask differently.
// Takes the body out of `http`.
absl::StatusOr<GenerationCall> ReadGenerationCall(
    HttpRequest& http, Dialect dialect,
    absl::Status (*read_prompt)(const Json& body, GenerationRequest& request));

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_GENERATION_FIELDS_H_
