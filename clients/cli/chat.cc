// hearth chat: a conversation, or one message of it.
#include <memory>
#include <optional>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/conversation.h"
#include "clients/cli/generation.h"
#include "clients/cli/input.h"
#include "clients/cli/prompt.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  GenerationFlags generation;
  ChatFlags chat;
  std::optional<std::string> message;
};

int Chat(const Flags& flags, Interrupt& interrupt) {
  const std::optional<Connection> connection = Connection::Open(flags.generation.connection);
  if (!connection) return kExitUsage;
  v1::ChatRequest request;
  request.set_model(flags.generation.model);
  *request.mutable_options() = flags.generation.options;
  FillChat(flags.chat, "", request);
  Conversation conversation(std::move(request), flags.generation.json, *connection, interrupt);
  if (!flags.message && InputIsTerminal()) return conversation.Converse();
  const std::string message = TextOrInput(flags.message.value_or("-"));
  if (!message.empty()) return conversation.Say(message);
  PrintError("MESSAGE: is empty");
  return kExitUsage;
}

}  // namespace

void AddChat(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("chat", "Talks with the model");
  command->add_option("MESSAGE", flags->message,
                      "One message and its reply; -: what stdin holds. Without it a conversation "
                      "on a terminal, else what stdin holds");
  AddChatFlags(*command, flags->chat);
  AddGenerationFlags(*command, flags->generation);
  command->callback(
      [flags, &run] { run = [flags](Interrupt& interrupt) { return Chat(*flags, interrupt); }; });
}

}  // namespace hearth::cli
