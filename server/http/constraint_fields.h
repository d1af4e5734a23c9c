// What a request says of the form of its text: OpenAI's response_format, and the names that vLLM's
// clients use (guided_json, guided_regex, guided_choice, structured_outputs).
#ifndef HEARTH_SERVER_HTTP_CONSTRAINT_FIELDS_H_
#define HEARTH_SERVER_HTTP_CONSTRAINT_FIELDS_H_

#include <string>

#include "absl/status/status.h"
#include "server/generation_request.h"
#include "server/http/json.h"

namespace hearth::server {

// The schema at `where` ("text.format.schema"), as JSON or as its text. Errors within it have its
// JSON Pointer in the body. InvalidArgument where there is another constraint.
absl::Status SetSchema(const Json& schema, std::string where, GenerationRequest& request);

// At most one of them. A schema always holds, "strict" or not.
absl::Status ReadConstraint(const Json& body, GenerationRequest& request);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_CONSTRAINT_FIELDS_H_
