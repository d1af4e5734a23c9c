// Gemma and Gemma 2: `<start_of_turn>user\n` trimmed content `<end_of_turn>\n`, the assistant
// being `model`; no system role, and turns alternate.
#include <string>

#include "engine/chat/formats.h"

namespace hearth {
bool IsGemma2Template(std::string_view jinja) {
  return Has(jinja, "'System role not supported'") && Has(jinja, "role = 'model'") &&
         Has(jinja,
             "'<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n'");
}

absl::Status RenderGemma2(absl::Span<const Message> messages, absl::Span<const Tool>,
                          Prompt& prompt) {
  prompt.AddMarker("<bos>");
  for (size_t i = 0; i < messages.size(); ++i) {
    const Role role = messages[i].role;
    if (role != Role::kUser && role != Role::kAssistant) {
      return RoleError(i, "this model knows only user and assistant");
    }
    if ((role == Role::kUser) != (i % 2 == 0)) {
      return RoleError(i, "user and assistant must alternate, user first");
    }
    std::string turn = role == Role::kUser ? "user\n" : "model\n";
    turn.append(Trim(messages[i].content));
    prompt.AddMarker("<start_of_turn>");
    prompt.AddText(turn);
    prompt.AddMarker("<end_of_turn>");
    prompt.AddText("\n");
  }
  prompt.AddMarker("<start_of_turn>");
  prompt.AddText("model\n");
  return absl::OkStatus();
}

}  // namespace hearth
