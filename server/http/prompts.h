// Prompts as OpenAI's completions and embeddings spell them.
#ifndef HEARTH_SERVER_HTTP_PROMPTS_H_
#define HEARTH_SERVER_HTTP_PROMPTS_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/generation_request.h"
#include "server/http/json.h"

namespace hearth::server {

// The member `name`: a string, a list of token ids, or a list of either. Kinds are checked, ranges
// are not.
absl::StatusOr<std::vector<PromptSpec>> ReadPrompts(const Json& body, std::string_view name);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_PROMPTS_H_
