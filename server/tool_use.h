// What a request says of tools, checked, and the constraint that keeps the model to it.
#ifndef HEARTH_SERVER_TOOL_USE_H_
#define HEARTH_SERVER_TOOL_USE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/chat/chat_format.h"
#include "engine/constraint_source.h"
#include "server/generation_request.h"

namespace hearth::server {

// Calls that messages say were made: names, and arguments that are objects.
absl::Status CheckCalls(const GenerationRequest& wire, absl::Span<const Message> messages);

// Tools with well-formed, distinct names, and a choice that names some of them.
absl::Status CheckTools(const GenerationRequest& wire);

// Whether the model may call tools.
bool UsesTools(const GenerationRequest& wire);

// The calls it may write. REQUIRES: UsesTools, and CheckTools is OK.
ToolCallsSource CallsOf(const GenerationRequest& wire, ToolCallSyntax syntax);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_TOOL_USE_H_
