// Phi-3, Phi-3.5 and Phi-4-mini. All write `<|role|>` content `<|end|>` and end with
// `<|assistant|>`. The role and end markers of their tokenizers swallow the white space that
// follows ("rstrip" of tokenizer_config.json): so the newlines in the Phi-3 template reach the
// model as nothing, and neither does white space at the start of a message.
#include <string>

#include "engine/chat/formats.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr std::string_view kReasoningPreamble =
    "Your name is Phi, an AI math expert developed by Microsoft.";

bool LoopsFirst(std::string_view jinja) {
  constexpr std::string_view kLoop = "{% for message in messages %}";
  return jinja.substr(0, kLoop.size()) == kLoop;
}

// The marker of messages[index]. The families differ in how they write tool results.
absl::Status AddRole(absl::Span<const Message> messages, size_t index, Prompt& prompt) {
  switch (messages[index].role) {
    case Role::kSystem:
      prompt.AddMarker("<|system|>");
      return absl::OkStatus();
    case Role::kUser:
      prompt.AddMarker("<|user|>");
      return absl::OkStatus();
    case Role::kAssistant:
      prompt.AddMarker("<|assistant|>");
      return absl::OkStatus();
    case Role::kTool:
      return RoleError(index, "tool messages are not supported");
  }
  return RoleError(index, "unknown");
}

absl::Status AddMessage(absl::Span<const Message> messages, size_t index, Prompt& prompt) {
  HEARTH_RETURN_IF_ERROR(AddRole(messages, index, prompt));
  prompt.AddText(TrimStart(messages[index].content));
  if (!messages[index].tools.empty()) {
    prompt.AddMarker("<|tool|>");
    prompt.AddText(messages[index].tools);
    prompt.AddMarker("<|/tool|>");
  }
  prompt.AddMarker("<|end|>");
  return absl::OkStatus();
}

}  // namespace

bool IsPhi4Template(std::string_view jinja) {
  return LoopsFirst(jinja) &&
         Has(jinja, "'<|' + message['role'] + '|>' + message['content'] + '<|end|>'") &&
         Has(jinja, "{% if add_generation_prompt %}{{ '<|assistant|>' }}");
}

absl::Status RenderPhi4(absl::Span<const Message> messages, Prompt& prompt) {
  prompt.AddBosIfAsked();
  for (size_t i = 0; i < messages.size(); ++i) {
    HEARTH_RETURN_IF_ERROR(AddMessage(messages, i, prompt));
  }
  prompt.AddMarker("<|assistant|>");
  return absl::OkStatus();
}

bool IsPhi4ReasoningTemplate(std::string_view jinja) {
  return Has(jinja, kReasoningPreamble) &&
         Has(jinja, "'<|' + message['role'] + '|>' + message['content'] + '<|end|>'");
}

// All system messages follow the preamble, then come the others.
absl::Status RenderPhi4Reasoning(absl::Span<const Message> messages, Prompt& prompt) {
  prompt.AddBosIfAsked();
  std::string system(kReasoningPreamble);
  for (const Message& message : messages) {
    if (message.role == Role::kSystem) system.append(" ").append(message.content);
  }
  prompt.AddMarker("<|system|>");
  prompt.AddText(system);
  prompt.AddMarker("<|end|>");
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == Role::kSystem) continue;
    HEARTH_RETURN_IF_ERROR(AddMessage(messages, i, prompt));
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
absl::Status RenderPhi3(absl::Span<const Message> messages, Prompt& prompt) {
  prompt.AddBosIfAsked();
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == Role::kSystem && messages[i].content.empty()) continue;
    HEARTH_RETURN_IF_ERROR(AddMessage(messages, i, prompt));
  }
  prompt.AddMarker("<|assistant|>");
  return absl::OkStatus();
}

}  // namespace hearth
