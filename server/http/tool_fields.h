// What a request says of tools: as OpenAI's dialects have it, and what Anthropic's shares with
// them.
#ifndef HEARTH_SERVER_HTTP_TOOL_FIELDS_H_
#define HEARTH_SERVER_HTTP_TOOL_FIELDS_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/generation_request.h"
#include "server/http/json.h"

namespace hearth::server {

// Where the members of a typed object lie: beside its type, as responses have it, or within the
// member that is named as the type, as chat has it: {"type": "function", "function": {...}}.
enum class ToolForm { kFlat, kNested };

// "tools", "tool_choice" and "parallel_tool_calls".
absl::Status ReadOpenAiTools(const Json& body, ToolForm form, GenerationRequest& request);

// "tools", each of which `read` reads.
absl::Status ReadToolList(
    const Json& body,
    absl::FunctionRef<absl::StatusOr<Tool>(const Json& tool, const std::string& where)> read,
    GenerationRequest& request);

// A name and, where they are there, a description and a schema of its arguments, `parameters`.
// InvalidArgument names `where`.member. REQUIRES: `object` is an object.
absl::StatusOr<Tool> ReadFunction(const Json& object, const std::string& where,
                                  std::string_view parameters);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_TOOL_FIELDS_H_
