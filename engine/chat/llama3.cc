// Llama 3 to 3.3: `<|start_header_id|>role<|end_header_id|>\n\n` trimmed content `<|eot_id|>`.
#include <string>

#include "engine/chat/formats.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr std::string_view kKnowledge = "Cutting Knowledge Date: December 2023\n";

// The templates of 3.1 and later tell the model today's date, or this one where they have no
// clock. A prompt is a function of its messages, so we have none.
constexpr std::string_view kToday = "Today Date: 26 Jul 2024\n\n";

bool HasMessageForm(std::string_view jinja) {
  return Has(jinja,
             "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
             "message['content'] | trim + '<|eot_id|>'");
}

void AddHeader(std::string_view role, Prompt& prompt) {
  prompt.AddMarker("<|start_header_id|>");
  prompt.AddText(role);
  prompt.AddMarker("<|end_header_id|>");
}

void AddBody(std::string_view text, Prompt& prompt) {
  prompt.AddText(std::string("\n\n").append(text));
  prompt.AddMarker("<|eot_id|>");
}

// Messages from `first` on, and the header of the reply.
absl::Status AddMessages(absl::Span<const Message> messages, size_t first, Prompt& prompt) {
  for (size_t i = first; i < messages.size(); ++i) {
    switch (messages[i].role) {
      case Role::kSystem:
        AddHeader("system", prompt);
        break;
      case Role::kUser:
        AddHeader("user", prompt);
        break;
      case Role::kAssistant:
        AddHeader("assistant", prompt);
        break;
      case Role::kTool:
        return RoleError(i, "tool messages are not supported");
    }
    AddBody(Trim(messages[i].content), prompt);
  }
  AddHeader("assistant", prompt);
  prompt.AddText("\n\n");
  return absl::OkStatus();
}

}  // namespace

bool IsLlama3Template(std::string_view jinja) {
  return HasMessageForm(jinja) && !Has(jinja, "Cutting Knowledge Date");
}

absl::Status RenderLlama3(absl::Span<const Message> messages, absl::Span<const Tool>,
                          Prompt& prompt) {
  prompt.AddMarker("<|begin_of_text|>");
  return AddMessages(messages, 0, prompt);
}

bool IsLlama31Template(std::string_view jinja) {
  return HasMessageForm(jinja) && Has(jinja, kKnowledge) && Has(jinja, "\"Today Date: \"") &&
         Has(jinja, "\"26 Jul 2024\"");
}

// The system message always stands, with the dates; a first message of that role joins it.
absl::Status RenderLlama31(absl::Span<const Message> messages, absl::Span<const Tool>,
                           Prompt& prompt) {
  prompt.AddMarker("<|begin_of_text|>");
  const bool has_system = messages[0].role == Role::kSystem;
  std::string system = std::string(kKnowledge).append(kToday);
  if (has_system) system.append(Trim(messages[0].content));
  AddHeader("system", prompt);
  AddBody(system, prompt);
  return AddMessages(messages, has_system ? 1 : 0, prompt);
}

}  // namespace hearth
