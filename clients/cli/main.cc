// hearth: talks to hearthd from a shell.
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "clients/cli/command.h"
#include "clients/cli/interrupt.h"

int main(int argc, char** argv) {
  using namespace hearth::cli;
  setenv("GRPC_VERBOSITY", "NONE", 0);  // what goes wrong is told once, by us
  Interrupt interrupt;                  // first, so that every thread inherits its signal mask
  CLI::App app{"Talks to hearthd, the local inference daemon.", "hearth"};
  app.require_subcommand(1);
  Run run;
  AddChat(app, run);
  AddGenerate(app, run);
  AddEstimate(app, run);
  AddEmbed(app, run);
  AddScore(app, run);
  AddModels(app, run);
  AddLoad(app, run);
  AddTop(app, run);
  AddControl(app, run);
  app.set_version_flag("--version", "hearth " HEARTH_VERSION);
  for (CLI::App* command : app.get_subcommands({})) {
    command->set_version_flag("--version", "hearth " HEARTH_VERSION);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return run(interrupt);
}
