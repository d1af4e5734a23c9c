// What chat and generate share: the flags of a generation, and its stream on the screen.
#ifndef HEARTH_CLIENTS_CLI_GENERATION_H_
#define HEARTH_CLIENTS_CLI_GENERATION_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "hearth/client.h"

namespace hearth::cli {

struct GenerationFlags {
  ConnectionFlags connection;
  std::string model;
  v1::Options options;  // what is not given is the daemon's to decide, and ranges its to check
  bool json = false;
};
void AddGenerationFlags(CLI::App& command, GenerationFlags& flags);
// Of them, --model and those of the options.
void AddOptionFlags(CLI::App& command, std::string& model, v1::Options& options);

struct Outcome {
  int exit_code;
  Reply reply;  // as far as it came
};

// Starts a stream with `call` and prints it as it comes: the text, then calls of tools a line
// each, or with `json` one event a line; on a terminal also a line of figures. Errors go to
// stderr.
Outcome RunGeneration(const Connection& connection, Interrupt& interrupt, bool json,
                      const std::function<GenerationStream(const CallOptions&)>& call);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_GENERATION_H_
