// What several commands take as their prompt: a message, with what goes before it.
#ifndef HEARTH_CLIENTS_CLI_PROMPT_H_
#define HEARTH_CLIENTS_CLI_PROMPT_H_

#include <CLI/CLI.hpp>
#include <string>

#include "hearth/v1/inference.pb.h"

namespace hearth::cli {

struct ChatFlags {
  std::string system;
  std::vector<v1::Tool> tools;
};
// --system and --tools.
void AddChatFlags(CLI::App& command, ChatFlags& flags);
// The messages and tools of a conversation that begins with `text`, unless that is empty.
void FillChat(const ChatFlags& flags, const std::string& text, v1::ChatRequest& request);

struct PromptFlags {
  ChatFlags chat;
  std::string text;
  bool plain = false;
};
// Those of a chat, and --plain.
void AddPromptFlags(CLI::App& command, PromptFlags& flags);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_PROMPT_H_
