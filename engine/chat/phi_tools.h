// Tools and calls as Phi-4-mini reads and writes them.
#ifndef HEARTH_ENGINE_CHAT_PHI_TOOLS_H_
#define HEARTH_ENGINE_CHAT_PHI_TOOLS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/chat/chat_format.h"

namespace hearth {

// The flat list of the model card, made of OpenAI's schemas: the properties of each tool's
// parameters by name, with Python's names of types.
//   [{"name": ..., "description": ..., "parameters": {"city": {"description": ..., "type":
//   "str"}}}]
// InvalidArgument where parameters are not JSON of an object.
absl::StatusOr<std::string> PhiToolList(absl::Span<const Tool> tools);

// functools[{"name": ..., "arguments": {...}}, ...], the arguments as they are given.
std::string PhiToolCalls(absl::Span<const ToolCall> calls);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CHAT_PHI_TOOLS_H_
