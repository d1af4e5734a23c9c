// hearth score: how likely each candidate is to follow.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/input.h"
#include "clients/cli/prompt.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  ConnectionFlags connection;
  PromptFlags prompt;
  std::string model;
  std::string prefix;
  std::vector<std::string> candidates;
  std::string cache_key;
  bool json = false;
};

int Score(const Flags& flags) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  v1::ScoreRequest request;
  request.set_model(flags.model);
  request.set_cache_key(flags.cache_key);
  const std::string prefix = TextOrInput(flags.prefix);
  if (flags.prompt.plain) {
    request.set_text(prefix);
  } else {
    FillChat(flags.prompt.chat, prefix, *request.mutable_chat());
  }
  request.mutable_candidates()->Assign(flags.candidates.begin(), flags.candidates.end());
  const auto scores = connection->client().Score(request, connection->options());
  if (!scores.ok()) return connection->Report(scores.status());
  if (flags.json) return Written(PrintJson(*scores));
  for (int i = 0; i < scores->candidates_size() && i < request.candidates_size(); ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%10.4f  ", scores->candidates(i).logprob());
    if (!Print(number + request.candidates(i) + "\n")) return Written(false);
  }
  return kExitOk;
}

}  // namespace

void AddScore(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "score", "Shows how likely each candidate is as the reply, as a natural logarithm");
  command->add_option("PREFIX", flags->prefix, "What the candidates follow; -: what stdin holds")
      ->required();
  command->add_option("CANDIDATE", flags->candidates, "Up to 64 of them")->required();
  AddPromptFlags(*command, flags->prompt);
  command->add_option("--model", flags->model, "Name of the model; the served one unless given");
  command->add_option("--cache-key", flags->cache_key,
                      "Shares cached prefixes only with requests of the same key");
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON, with every token's own");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Score(*flags); }; });
}

}  // namespace hearth::cli
