#include "clients/cli/conversation.h"

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "clients/cli/command.h"
#include "clients/cli/generation.h"
#include "clients/cli/input.h"
#include "clients/cli/terminal.h"
#include "clients/cli/tools.h"

namespace hearth::cli {

Conversation::Conversation(v1::ChatRequest request, bool json, const Connection& connection,
                           Interrupt& interrupt)
    : request_(std::move(request)), json_(json), connection_(connection), interrupt_(interrupt) {}

int Conversation::Say(const std::string& message) {
  const int before = request_.messages_size();
  *request_.add_messages() = UserMessage(message);
  while (true) {
    const Outcome outcome =
        RunGeneration(connection_, interrupt_, json_, [this](const CallOptions& options) {
          return connection_.client().Chat(request_, options);
        });
    const Choice& choice = outcome.reply.first();
    const bool calls =
        outcome.exit_code == kExitOk && choice.finish_reason == v1::FINISH_REASON_TOOL_CALLS;
    if (choice.text.empty() && !calls) {
      request_.mutable_messages()->DeleteSubrange(before, request_.messages_size() - before);
      return outcome.exit_code;
    }
    v1::Message& reply = *request_.add_messages();
    reply = choice.Message();
    if (!calls) reply.clear_tool_calls();  // they may be cut off in the middle
    if (!calls || !InputIsTerminal() || !AnswerCalls(choice)) return outcome.exit_code;
  }
}

bool Conversation::AnswerCalls(const Choice& choice) {
  for (const auto& [index, call] : choice.tool_calls) {
    Print(call.name() + " returns> ");
    const std::optional<Typed> result = ReadTyped(std::cin, "... ");
    if (!result) {
      quit_ = true;
      return false;
    }
    *request_.add_messages() = ToolMessage(call, result->text);
  }
  return true;
}

int Conversation::Converse() {
  PrintAside("/help shows the commands, Ctrl-D leaves, Ctrl-C stops a reply.");
  while (!quit_) {
    Print("> ");
    const std::optional<Typed> typed = ReadTyped(std::cin, "... ");
    if (!typed) {
      Print("\n");
      return kExitOk;
    }
    if (typed->text.starts_with('/') && !typed->quoted) {
      Run(typed->text);
    } else if (typed->text.find_first_not_of(" \t\n") != std::string::npos) {
      Say(typed->text);  // what went wrong has been said; the next message may go better
    }
  }
  return kExitOk;
}

const std::vector<Conversation::Command>& Conversation::Commands() {
  static const std::vector<Command> kCommands = {
      {"/system", "TEXT", "Sets the system message; without TEXT there is none",
       &Conversation::SetSystem},
      {"/tools", "FILE", "Lets the model call the functions of FILE; without it none",
       &Conversation::SetTools},
      {"/json", "FILE", "Replies are JSON that meets the schema in FILE; without it text",
       &Conversation::SetSchema},
      {"/clear", "", "Forgets what was said", &Conversation::Clear},
      {"/help", "", "Shows this", &Conversation::Help},
      {"/quit", "", "Leaves, as Ctrl-D does", &Conversation::Quit},
  };
  return kCommands;
}

void Conversation::Run(const std::string& line) {
  const size_t space = line.find_first_of(" \n");
  const std::string name = line.substr(0, space);
  const size_t start = line.find_first_not_of(" \n", space);
  for (const Command& command : Commands()) {
    if (name != command.name) continue;
    const std::string argument = start == std::string::npos ? "" : line.substr(start);
    return (this->*command.run)(argument);
  }
  PrintError(name + ": no such command; /help shows them");
}

void Conversation::Help(const std::string&) {
  for (const Command& command : Commands()) {
    std::printf("%-8s%-6s%s\n", command.name, command.argument, command.description);
  }
  std::puts(
      "A message of several lines: end each but the last with \\, or put it between lines"
      " of \"\"\".");
}

void Conversation::Clear(const std::string&) {
  auto& messages = *request_.mutable_messages();
  const int kept = !messages.empty() && messages[0].role() == v1::ROLE_SYSTEM ? 1 : 0;
  messages.DeleteSubrange(kept, messages.size() - kept);
  PrintAside("forgotten");
}

void Conversation::SetSystem(const std::string& text) {
  google::protobuf::RepeatedPtrField<v1::Message> messages;
  if (!text.empty()) *messages.Add() = SystemMessage(text);
  for (const v1::Message& message : request_.messages()) {
    if (message.role() != v1::ROLE_SYSTEM) *messages.Add() = message;
  }
  request_.mutable_messages()->Swap(&messages);
  PrintAside(text.empty() ? "no system message" : "the system message is set");
}

void Conversation::SetTools(const std::string& path) {
  if (path.empty()) {
    request_.clear_tools();
    return PrintAside("no tools");
  }
  if (request_.options().has_constraint()) {
    return PrintError(
        "/tools: replies are held to JSON, which does not go with tools; /json first");
  }
  const absl::StatusOr<std::string> json = ReadFile(path);
  if (!json.ok()) return PrintError(json.status().message());
  const absl::StatusOr<std::vector<v1::Tool>> tools = ParseTools(*json);
  if (!tools.ok()) return PrintError(tools.status().message());
  request_.mutable_tools()->Assign(tools->begin(), tools->end());
  PrintAside(std::to_string(tools->size()) + " tools");
}

void Conversation::SetSchema(const std::string& path) {
  v1::Options& options = *request_.mutable_options();
  if (path.empty()) {
    options.clear_constraint();
    return PrintAside("replies are text");
  }
  if (request_.tools_size() > 0) {
    return PrintError("/json: there are tools, with which it does not go; /tools first");
  }
  absl::StatusOr<std::string> schema = ReadFile(path);
  if (!schema.ok()) return PrintError(schema.status().message());
  if (!nlohmann::json::accept(*schema)) return PrintError(path + ": not valid JSON");
  options.mutable_constraint()->set_json_schema(*std::move(schema));
  PrintAside("replies meet " + path);
}

}  // namespace hearth::cli
