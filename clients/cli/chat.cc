// hearth chat: a conversation, or one message of it.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/generation.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct ChatFlags {
  GenerationFlags generation;
  std::string message;
  std::string system;
};

class Conversation {
 public:
  Conversation(const ChatFlags& flags, Connection& connection, Interrupt& interrupt)
      : flags_(flags), connection_(connection), interrupt_(interrupt) {
    request_.set_model(flags.generation.model);
    FillOptions(flags.generation, *request_.mutable_options());
    Restart();
  }

  void Restart() {
    request_.clear_messages();
    if (!flags_.system.empty()) Add(v1::ROLE_SYSTEM, flags_.system);
  }

  // Prints the reply to `message`. A message without one leaves no trace in the conversation.
  int Say(const std::string& message) {
    Add(v1::ROLE_USER, message);
    const Reply reply = RunGeneration(connection_, interrupt_, flags_.generation.json,
                                      [this](grpc::ClientContext& context) {
                                        return connection_.inference().Chat(&context, request_);
                                      });
    if (reply.text.empty()) {
      request_.mutable_messages()->RemoveLast();
    } else {
      Add(v1::ROLE_ASSISTANT, reply.text);
    }
    return reply.exit_code;
  }

 private:
  void Add(v1::Role role, const std::string& content) {
    v1::Message& message = *request_.add_messages();
    message.set_role(role);
    message.set_content(content);
  }

  const ChatFlags& flags_;
  Connection& connection_;
  Interrupt& interrupt_;
  v1::ChatRequest request_;
};

// Until the end of input, /quit, or a Ctrl-C at the prompt. Lines are edited by the terminal.
int Converse(Conversation& conversation) {
  PrintAside("/new starts over, /quit or Ctrl-D leaves, Ctrl-C stops a reply.");
  std::string line;
  while (true) {
    std::fputs("> ", stdout);
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) {
      std::fputs("\n", stdout);
      return kExitOk;
    }
    if (line == "/quit") return kExitOk;
    if (line == "/new") {
      conversation.Restart();
    } else if (!line.empty()) {
      conversation.Say(line);  // what went wrong has been said; the next line may go better
    }
  }
}

int Chat(const ChatFlags& flags, Interrupt& interrupt) {
  std::optional<Connection> connection = Connection::Open(flags.generation.connection);
  if (!connection) return kExitUsage;
  Conversation conversation(flags, *connection, interrupt);
  if (!flags.message.empty() && flags.message != "-") return conversation.Say(flags.message);
  if (InputIsTerminal() && flags.message.empty()) return Converse(conversation);
  return conversation.Say(ReadInput());
}

}  // namespace

void AddChat(CLI::App& app, Run& run) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talks with the model");
  command->add_option("MESSAGE", flags->message,
                      "One message and its reply; -: what stdin holds. Without it a conversation "
                      "on a terminal, else what stdin holds");
  command->add_option("--system", flags->system, "System message");
  AddGenerationFlags(*command, flags->generation);
  command->callback(
      [flags, &run] { run = [flags](Interrupt& interrupt) { return Chat(*flags, interrupt); }; });
}

}  // namespace hearth::cli
