#include "clients/cli/prompt.h"

#include "clients/cli/input.h"
#include "clients/cli/tools.h"
#include "hearth/reply.h"

namespace hearth::cli {

void AddChatFlags(CLI::App& command, ChatFlags& flags) {
  command.add_option("--system", flags.system, "System message");
  command
      .add_option_function<std::string>(
          "--tools",
          [&flags](const std::string& json) {
            absl::StatusOr<std::vector<v1::Tool>> tools = ParseTools(json);
            if (!tools.ok()) {
              throw CLI::ValidationError("--tools", std::string(tools.status().message()));
            }
            flags.tools = *std::move(tools);
          },
          "Functions the model may call: a JSON array, as OpenAI has it")
      ->transform(FileContents())
      ->type_name("FILE");
}

void FillChat(const ChatFlags& flags, const std::string& text, v1::ChatRequest& request) {
  if (!flags.system.empty()) *request.add_messages() = SystemMessage(flags.system);
  if (!text.empty()) *request.add_messages() = UserMessage(text);
  request.mutable_tools()->Assign(flags.tools.begin(), flags.tools.end());
}

void AddPromptFlags(CLI::App& command, PromptFlags& flags) {
  AddChatFlags(command, flags.chat);
  command.add_flag("--plain", flags.plain, "The text as it is, not as a message of a chat");
}

}  // namespace hearth::cli
