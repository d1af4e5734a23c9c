// What chat and generate share: the flags of a generation, and its stream on the screen.
#ifndef HEARTH_CLIENTS_CLI_GENERATION_H_
#define HEARTH_CLIENTS_CLI_GENERATION_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "hearth/v1/inference.grpc.pb.h"

namespace hearth::cli {

// What is not given is the daemon's to decide; ranges are the daemon's to check.
struct GenerationFlags {
  ConnectionFlags connection;
  std::string model;
  std::optional<int32_t> max_tokens;
  std::vector<std::string> stop;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<int32_t> top_k;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<float> frequency_penalty;
  std::optional<float> presence_penalty;
  std::optional<uint64_t> seed;
  bool json = false;
};
void AddGenerationFlags(CLI::App& command, GenerationFlags& flags);
void FillOptions(const GenerationFlags& flags, v1::Options& options);

struct Reply {
  int exit_code;
  std::string text;  // as far as it came
};

using EventReader = std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>>;

// Starts a stream with `call` and prints it as it comes: the text, or with `json` one event a
// line; on a terminal also a line of figures. Errors go to stderr.
Reply RunGeneration(Connection& connection, Interrupt& interrupt, bool json,
                    const std::function<EventReader(grpc::ClientContext&)>& call);

// All of stdin.
std::string ReadInput();

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_GENERATION_H_
