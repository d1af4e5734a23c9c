// hearth generate: continues a text.
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/generation.h"

namespace hearth::cli {
namespace {

struct GenerateFlags {
  GenerationFlags generation;
  std::string prompt = "-";
};

int Generate(const GenerateFlags& flags, Interrupt& interrupt) {
  std::optional<Connection> connection = Connection::Open(flags.generation.connection);
  if (!connection) return kExitUsage;
  v1::GenerateRequest request;
  request.set_model(flags.generation.model);
  request.set_text(flags.prompt == "-" ? ReadInput() : flags.prompt);
  FillOptions(flags.generation, *request.mutable_options());
  return RunGeneration(*connection, interrupt, flags.generation.json,
                       [&](grpc::ClientContext& context) {
                         return connection->inference().Generate(&context, request);
                       })
      .exit_code;
}

}  // namespace

void AddGenerate(CLI::App& app, Run& run) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate", "Continues a text");
  command->add_option("PROMPT", flags->prompt, "The text; - or nothing: what stdin holds");
  AddGenerationFlags(*command, flags->generation);
  command->callback([flags, &run] {
    run = [flags](Interrupt& interrupt) { return Generate(*flags, interrupt); };
  });
}

}  // namespace hearth::cli
