// The subcommands of `hearth`, one file each; those that change the daemon share one.
#ifndef HEARTH_CLIENTS_CLI_COMMAND_H_
#define HEARTH_CLIENTS_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>

namespace hearth::cli {

class Interrupt;

// What the command line chose: set by the subcommand that was named, run once parsing is over.
// Returns the exit code.
using Run = std::function<int(Interrupt&)>;

// Exit codes, of sysexits(3) where it has one.
enum ExitCode {
  kExitOk = 0,
  kExitFailure = 1,       // what was asked for cannot be had
  kExitUsage = 64,        // a wrong flag, or a request the daemon refuses as wrong
  kExitUnavailable = 69,  // nobody listens, or the daemon loads or drains
  kExitTimeout = 75,      // the time ran out
  kExitInterrupted = 130,
};

// Each adds its subcommand to `app`.
void AddChat(CLI::App& app, Run& run);
void AddGenerate(CLI::App& app, Run& run);
void AddModels(CLI::App& app, Run& run);
void AddEstimate(CLI::App& app, Run& run);
void AddEmbed(CLI::App& app, Run& run);
void AddScore(CLI::App& app, Run& run);
void AddLoad(CLI::App& app, Run& run);
void AddTop(CLI::App& app, Run& run);
void AddControl(CLI::App& app, Run& run);  // cancel, pin, unpin, flush, drain

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_COMMAND_H_
