// hearth load: how busy the daemon is.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <thread>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct LoadFlags {
  ConnectionFlags connection;
  bool json = false;
  bool watch = false;
  double interval = 1;  // seconds
};

int Percent(int32_t part, int32_t whole) { return whole > 0 ? 100 * part / whole : 0; }

// `rate` is empty, or what was generated since the last line.
bool PrintLoad(const v1::GetLoadResponse& load, const std::string& rate) {
  std::printf("running %d/%d  queued %d/%d  KV %d%% used, %d%% cached  tokens %" PRIu64
              " in, %" PRIu64 " out%s\n",
              load.running(), load.max_running(), load.queued(), load.max_queued(),
              Percent(load.kv_blocks_used(), load.kv_blocks_total()),
              Percent(load.kv_blocks_cached(), load.kv_blocks_total()), load.prompt_tokens(),
              load.generated_tokens(), rate.c_str());
  return std::fflush(stdout) == 0;
}

std::string Rate(uint64_t before, uint64_t now, double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "  %.1f tok/s", static_cast<double>(now - before) / seconds);
  return text;
}

int Load(const LoadFlags& flags) {
  std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  std::optional<uint64_t> generated;
  while (true) {
    grpc::ClientContext context;
    connection->Authorise(context);
    v1::GetLoadResponse load;
    const grpc::Status status = connection->control().GetLoad(&context, {}, &load);
    if (!status.ok()) return connection->Report(status);
    const std::string rate =
        generated ? Rate(*generated, load.generated_tokens(), flags.interval) : "";
    if (!(flags.json ? PrintJson(load) : PrintLoad(load, rate))) return kExitFailure;
    if (!flags.watch) return kExitOk;
    generated = load.generated_tokens();
    std::this_thread::sleep_for(std::chrono::duration<double>(flags.interval));
  }
}

}  // namespace

void AddLoad(CLI::App& app, Run& run) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App* command = app.add_subcommand("load", "Shows how busy the daemon is");
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--watch", flags->watch, "Go on until interrupted");
  command->add_option("--interval", flags->interval, "Seconds between two lines of --watch")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print JSON, one line each");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Load(*flags); }; });
}

}  // namespace hearth::cli
