// hearth: talks to hearthd from a shell.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/terminal.h"

namespace {

std::string Problem(const CLI::ParseError& error, const CLI::App& app) {
  const std::vector<std::string> left = app.remaining(/*recurse=*/true);
  const bool extra = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  if (!extra || left.empty()) return error.what();
  const auto option = std::find_if(left.begin(), left.end(),
                                   [](const std::string& word) { return word.starts_with('-'); });
  return (option == left.end() ? left.front() : *option) + ": not expected";
}

}  // namespace

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
  const auto is_named = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_named).empty()) {
    PrintError(std::string(argv[1]) + ": no such command; hearth --help shows them");
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::vector<CLI::App*> named = app.get_subcommands();
    const std::string command = named.empty() ? "" : named[0]->get_name() + " ";
    PrintError(Problem(error, app) + "; see hearth " + command + "--help");
    return kExitUsage;
  }
  return run(interrupt);
}
