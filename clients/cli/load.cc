// hearth load: how busy the daemon is.
#include "clients/cli/load.h"

#include <absl/strings/str_format.h>

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

int Load(const Flags& flags) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  const auto load = connection->client().GetLoad(connection->options());
  if (!load.ok()) return connection->Report(load.status());
  const bool printed = flags.json ? PrintJson(*load) : Print(LoadLine(*load) + "\n");
  return Written(printed);
}

}  // namespace

int Percent(uint64_t part, uint64_t whole) {
  return whole > 0 ? static_cast<int>(100 * part / whole) : 0;
}

std::string LoadLine(const v1::GetLoadResponse& load) {
  return absl::StrFormat(
      "running %d/%d  queued %d/%d  KV %d%% used, %d%% cached  tokens %d in, %d out%s",
      load.running(), load.max_running(), load.queued(), load.max_queued(),
      Percent(load.kv_blocks_used(), load.kv_blocks_total()),
      Percent(load.kv_blocks_cached(), load.kv_blocks_total()), load.prompt_tokens(),
      load.generated_tokens(), load.draining() ? "  draining" : "");
}

void AddLoad(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("load", "Shows how busy the daemon is");
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Load(*flags); }; });
}

}  // namespace hearth::cli
