// hearth generate: continues a text.
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/generation.h"
#include "clients/cli/input.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  GenerationFlags generation;
  std::string prompt = "-";
};

int Generate(const Flags& flags, Interrupt& interrupt) {
  const std::optional<Connection> connection = Connection::Open(flags.generation.connection);
  if (!connection) return kExitUsage;
  const std::string prompt = TextOrInput(flags.prompt);
  if (prompt.empty() && flags.prompt == "-") {  // "" asks for what follows nothing
    PrintError("stdin: is empty");
    return kExitUsage;
  }
  v1::GenerateRequest request;
  request.set_model(flags.generation.model);
  request.set_text(prompt);
  *request.mutable_options() = flags.generation.options;
  return RunGeneration(*connection, interrupt, flags.generation.json,
                       [&](const CallOptions& options) {
                         return connection->client().Generate(request, options);
                       })
      .exit_code;
}

}  // namespace

void AddGenerate(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Continues a text");
  command->add_option("PROMPT", flags->prompt, "The text; - or nothing: what stdin holds");
  AddGenerationFlags(*command, flags->generation);
  command->callback([flags, &run] {
    run = [flags](Interrupt& interrupt) { return Generate(*flags, interrupt); };
  });
}

}  // namespace hearth::cli
