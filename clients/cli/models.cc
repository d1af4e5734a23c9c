// hearth models: what the daemon serves.
#include <cinttypes>
#include <cstdio>
#include <memory>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  ConnectionFlags connection;
  bool json = false;
};

void PrintModel(const v1::GetModelResponse& model) {
  constexpr double kMega = 1e6;
  std::printf("%s\n", Printable(model.id()).c_str());
  std::printf(
      "  architecture  %s, %.1f M parameters, %s\n", Printable(model.architecture()).c_str(),
      static_cast<double>(model.parameters()) / kMega, Printable(model.weight_type()).c_str());
  std::printf("  context       %d tokens, replies of %d unless asked otherwise\n",
              model.max_context(), model.default_max_tokens());
  std::printf("  vocabulary    %d tokens\n", model.vocab_size());
  std::printf("  chat          %s\n", model.chat_format().empty()
                                          ? "no; generate only"
                                          : Printable(model.chat_format()).c_str());
  std::printf("  memory        %.1f MB of weights, %.1f MB of %s KV cache\n",
              static_cast<double>(model.weight_bytes()) / kMega,
              static_cast<double>(model.kv_bytes()) / kMega, Printable(model.kv_type()).c_str());
  std::printf("  runs on       %s, %d threads\n", Printable(model.isa()).c_str(), model.threads());
}

int Models(const Flags& flags) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  const auto model = connection->client().GetModel(connection->options());
  if (!model.ok()) return connection->Report(model.status());
  if (flags.json) return Written(PrintJson(*model));
  PrintModel(*model);
  return Written(std::fflush(stdout) == 0);
}

}  // namespace

void AddModels(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("models", "Shows what the daemon serves");
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Models(*flags); }; });
}

}  // namespace hearth::cli
