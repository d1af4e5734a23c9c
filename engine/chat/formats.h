// What a row of formats.inc is made of. Internal to this folder.
#ifndef HEARTH_ENGINE_CHAT_FORMATS_H_
#define HEARTH_ENGINE_CHAT_FORMATS_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/chat/chat_format.h"
#include "engine/chat/prompt.h"

namespace hearth {

// As ToolCallSyntax, markers by name.
struct ToolCallForm {
  std::string_view opening, open, close;
};

struct ChatFormatRow {
  std::string_view name;
  std::string_view markers;                     // separated by spaces
  bool (*is_template)(std::string_view jinja);  // "\n" escapes are newlines already
  absl::Status (*render)(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                         Prompt& prompt);
  bool takes_tools = false;  // otherwise `render` gets none, and neither calls nor results of any
  ToolCallForm tool_calls = {};
};

inline bool Has(std::string_view jinja, std::string_view feature) {
  return jinja.find(feature) != jinja.npos;
}

// phi.cc
bool IsPhi4Template(std::string_view jinja);
bool IsPhi4ReasoningTemplate(std::string_view jinja);
bool IsPhi3Template(std::string_view jinja);
absl::Status RenderPhi4(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                        Prompt& prompt);
absl::Status RenderPhi4Reasoning(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                                 Prompt& prompt);
absl::Status RenderPhi3(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                        Prompt& prompt);

// llama3.cc
bool IsLlama3Template(std::string_view jinja);
bool IsLlama31Template(std::string_view jinja);
absl::Status RenderLlama3(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                          Prompt& prompt);
absl::Status RenderLlama31(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                           Prompt& prompt);

// gemma2.cc
bool IsGemma2Template(std::string_view jinja);
absl::Status RenderGemma2(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                          Prompt& prompt);

// InvalidArgument: messages[index].role: `problem`.
absl::Status RoleError(size_t index, const char* problem);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CHAT_FORMATS_H_
