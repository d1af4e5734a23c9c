// Phi-3, Phi-3.5 and Phi-4-mini. All write `<|role|>` content `<|end|>` and end with
// `<|assistant|>`. The role and end markers of their tokenizers swallow the white space that
// follows ("rstrip" of tokenizer_config.json): so the newlines in the Phi-3 template reach the
// model as nothing, and neither does white space at the start of a message.
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/chat/formats.h"
#include "engine/chat/phi_tools.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr std::string_view kReasoningPreamble =
    "Your name is Phi, an AI math expert developed by Microsoft.";
constexpr std::string_view kToolPreamble = "You are a helpful assistant with some tools.";

bool LoopsFirst(std::string_view jinja) {
  constexpr std::string_view kLoop = "{% for message in messages %}";
  return jinja.substr(0, kLoop.size()) == kLoop;
}

std::string_view RoleMarker(Role role) {
  switch (role) {
    case Role::kSystem:
      return "<|system|>";
    case Role::kUser:
      return "<|user|>";
    case Role::kAssistant:
      return "<|assistant|>";
    case Role::kTool:
      return "<|tool|>";
  }
  return "";
}

void AddMessage(const Message& message, Prompt& prompt) {
  prompt.AddMarker(RoleMarker(message.role));
  std::string text(TrimStart(message.content));
  if (!message.tool_calls.empty()) text += PhiToolCalls(message.tool_calls);
  prompt.AddText(text);
  if (!message.tool_list.empty()) {
    prompt.AddMarker("<|tool|>");
    prompt.AddText(message.tool_list);
    prompt.AddMarker("<|/tool|>");
  }
  prompt.AddMarker("<|end|>");
}

}  // namespace

bool IsPhi4Template(std::string_view jinja) {
  return LoopsFirst(jinja) &&
         Has(jinja, "'<|' + message['role'] + '|>' + message['content'] + '<|end|>'") &&
         Has(jinja, "{% if add_generation_prompt %}{{ '<|assistant|>' }}");
}

// Tools stand in the first message if it is the system's; else in one of their own, whose words are
// those of the model card. Two lists of them the model was never shown.
absl::Status RenderPhi4(absl::Span<const Message> messages, absl::Span<const Tool> tools,
                        Prompt& prompt) {
  prompt.AddBosIfAsked();
  if (!tools.empty()) {
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].tool_list.empty()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "]: a tool list of its own beside tools, expected one"));
    }
    const bool has_system = messages[0].role == Role::kSystem;
    Message system{Role::kSystem, has_system ? messages[0].content : std::string(kToolPreamble)};
    HEARTH_ASSIGN_OR_RETURN(system.tool_list, PhiToolList(tools));
    AddMessage(system, prompt);
    if (has_system) messages.remove_prefix(1);
  }
  for (const Message& message : messages) AddMessage(message, prompt);
  prompt.AddMarker("<|assistant|>");
  return absl::OkStatus();
}

bool IsPhi4ReasoningTemplate(std::string_view jinja) {
  return Has(jinja, kReasoningPreamble) &&
         Has(jinja, "'<|' + message['role'] + '|>' + message['content'] + '<|end|>'");
}

// All system messages follow the preamble, then come the others.
absl::Status RenderPhi4Reasoning(absl::Span<const Message> messages, absl::Span<const Tool>,
                                 Prompt& prompt) {
  prompt.AddBosIfAsked();
  std::string system(kReasoningPreamble);
  for (const Message& message : messages) {
    if (message.role == Role::kSystem) system.append(" ").append(message.content);
  }
  prompt.AddMarker("<|system|>");
  prompt.AddText(system);
  prompt.AddMarker("<|end|>");
  for (const Message& message : messages) {
    if (message.role != Role::kSystem) AddMessage(message, prompt);
  }
  prompt.AddMarker("<|assistant|>");
  return absl::OkStatus();
}

bool IsPhi3Template(std::string_view jinja) {
  return LoopsFirst(jinja) && Has(jinja, "'<|system|>\n' + message['content'] + '<|end|>\n'") &&
         Has(jinja, "'<|user|>\n' + message['content'] + '<|end|>\n'") &&
         Has(jinja, "'<|assistant|>\n' + message['content'] + '<|end|>\n'");
}

// As Phi-4, but an empty system message is left out.
absl::Status RenderPhi3(absl::Span<const Message> messages, absl::Span<const Tool>,
                        Prompt& prompt) {
  prompt.AddBosIfAsked();
  for (const Message& message : messages) {
    if (message.role == Role::kSystem && message.content.empty()) continue;
    AddMessage(message, prompt);
  }
  prompt.AddMarker("<|assistant|>");
  return absl::OkStatus();
}

}  // namespace hearth
