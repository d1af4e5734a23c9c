// A conversation on a terminal, with its commands.
#ifndef HEARTH_CLIENTS_CLI_CONVERSATION_H_
#define HEARTH_CLIENTS_CLI_CONVERSATION_H_

#include <string>
#include <vector>

#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "hearth/client.h"

namespace hearth::cli {

class Conversation {
 public:
  // `request` is how it begins: system message, tools, options. References outlive it.
  Conversation(v1::ChatRequest request, bool json, const Connection& connection,
               Interrupt& interrupt);

  // Prints the reply to `message`, and whatever more comes once a person has answered calls of
  // tools. A message that fails leaves no trace. Returns the exit code.
  int Say(const std::string& message);

  // Takes messages and commands until /quit, the end of input, or a Ctrl-C with no reply under
  // way. Lines are edited by the terminal. Returns the exit code.
  int Converse();

 private:
  struct Command {
    const char* name;
    const char* argument;  // empty: none
    const char* description;
    void (Conversation::*run)(const std::string& argument);
  };
  static const std::vector<Command>& Commands();

  void Run(const std::string& line);
  void Help(const std::string&);
  void Clear(const std::string&);
  void SetSystem(const std::string& text);
  void SetTools(const std::string& path);
  void SetSchema(const std::string& path);
  void Quit(const std::string&) { quit_ = true; }

  // False at the end of input.
  bool AnswerCalls(const Choice& choice);

  v1::ChatRequest request_;
  const bool json_;
  const Connection& connection_;
  Interrupt& interrupt_;
  bool quit_ = false;
};

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_CONVERSATION_H_
