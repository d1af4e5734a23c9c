// hearth embed: texts to vectors.
#include <absl/types/span.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr size_t kInputsPerCall = 256;

struct Flags {
  ConnectionFlags connection;
  std::string model;
  std::vector<std::string> texts;
  std::string pooling = "mean";
  bool json = false;
};

bool PrintEmbeddings(const v1::EmbedResponse& response) {
  std::string lines;
  for (const v1::EmbedResponse::Embedding& embedding : response.embeddings()) {
    const char* separator = "";
    for (const float value : embedding.values()) {
      char number[32];
      std::snprintf(number, sizeof number, "%s%.9g", separator, static_cast<double>(value));
      lines += number;
      separator = " ";
    }
    lines += '\n';
  }
  return Print(lines);
}

int EmbedSome(const Connection& connection, const Flags& flags,
              absl::Span<const std::string> texts) {
  v1::EmbedRequest request;
  request.set_model(flags.model);
  request.set_pooling(flags.pooling == "last" ? v1::EmbedRequest::LAST : v1::EmbedRequest::MEAN);
  for (const std::string& text : texts) request.add_inputs()->set_text(text);
  const auto response = connection.client().Embed(request, connection.options());
  if (!response.ok()) return connection.Report(response.status());
  const bool printed = flags.json ? PrintJson(*response) : PrintEmbeddings(*response);
  return Written(printed);
}

// Lines of stdin, as many together as a call takes; what is read last may be fewer.
int EmbedLines(const Connection& connection, const Flags& flags) {
  std::vector<std::string> texts;
  size_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) {
      PrintError("line " + std::to_string(number) + ": is empty");
      return kExitUsage;
    }
    texts.push_back(line);
    if (texts.size() < kInputsPerCall) continue;
    if (const int code = EmbedSome(connection, flags, texts); code != kExitOk) return code;
    texts.clear();
  }
  return texts.empty() ? kExitOk : EmbedSome(connection, flags, texts);
}

int Embed(const Flags& flags) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  if (flags.texts.empty()) return EmbedLines(*connection, flags);
  const absl::Span<const std::string> texts = flags.texts;
  for (size_t i = 0; i < texts.size(); i += kInputsPerCall) {
    const int code = EmbedSome(*connection, flags, texts.subspan(i, kInputsPerCall));
    if (code != kExitOk) return code;
  }
  return kExitOk;
}

}  // namespace

void AddEmbed(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("embed", "Turns texts into vectors, one a line");
  command->add_option("TEXT", flags->texts, "The texts; without one, the lines of stdin");
  command->add_option("--model", flags->model, "Name of the model; the served one unless given");
  command->add_option("--pooling", flags->pooling, "Of all tokens' states, or the last one's")
      ->check(CLI::IsMember({"mean", "last"}))
      ->capture_default_str();
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON, a line for up to 256 texts");
  command->callback([flags, &run] { run = [flags](Interrupt&) { return Embed(*flags); }; });
}

}  // namespace hearth::cli
