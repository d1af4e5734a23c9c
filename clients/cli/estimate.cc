// hearth estimate: what a generation would cost now.
#include <cstdio>
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/generation.h"
#include "clients/cli/input.h"
#include "clients/cli/prompt.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  ConnectionFlags connection;
  PromptFlags prompt;
  std::string model;
  v1::Options options;
  std::string text = "-";
  bool json = false;
};

std::string Duration(int64_t ms) {
  char text[32];
  if (ms < 1000) {
    std::snprintf(text, sizeof text, "%d ms", static_cast<int>(ms));
  } else {
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1e3);
  }
  return text;
}

void PrintEstimate(const v1::EstimateResponse& estimate) {
  std::printf("prompt  %d tokens, %d of them cached\n", estimate.prompt_tokens(),
              estimate.cached_tokens());
  std::printf("reply   %d tokens at most\n", estimate.max_tokens());
  if (estimate.queue_position() == 0) {
    std::puts("queue   starts at once");
  } else {
    std::printf("queue   place %d\n", estimate.queue_position());
  }
  if (estimate.total_ms() == 0) {
    std::puts("time    not known before the first generation");
  } else {
    std::printf("time    first token in %s, all in %s\n",
                Duration(estimate.first_token_ms()).c_str(), Duration(estimate.total_ms()).c_str());
  }
}

int Estimate(const Flags& flags) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  const std::string text = TextOrInput(flags.text);
  v1::EstimateRequest request;
  if (flags.prompt.plain) {
    v1::GenerateRequest& generate = *request.mutable_generate();
    generate.set_model(flags.model);
    generate.set_text(text);
    *generate.mutable_options() = flags.options;
  } else {
    v1::ChatRequest& chat = *request.mutable_chat();
    chat.set_model(flags.model);
    FillChat(flags.prompt.chat, text, chat);
    *chat.mutable_options() = flags.options;
  }
  const auto estimate = connection->client().Estimate(request, connection->options());
  if (!estimate.ok()) return connection->Report(estimate.status());
  if (flags.json) return Written(PrintJson(*estimate));
  PrintEstimate(*estimate);
  return Written(std::fflush(stdout) == 0);
}

}  // namespace

void AddEstimate(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("estimate", "Shows what a reply would cost now; generates nothing");
  command->add_option("MESSAGE", flags->text, "The message; - or nothing: what stdin holds");
  AddPromptFlags(*command, flags->prompt);
  AddOptionFlags(*command, flags->model, flags->options);
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Estimate(*flags); }; });
}

}  // namespace hearth::cli
