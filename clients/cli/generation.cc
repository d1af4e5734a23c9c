#include "clients/cli/generation.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "clients/cli/command.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Rates are over the tokens after the first, which waits for the prompt.
class Stopwatch {
 public:
  void Count(const v1::Delta& delta) {
    if (tokens_ == 0 && delta.tokens_size() > 0) first_ = Clock::now();
    tokens_ += delta.tokens_size();
  }

  std::string Line(const v1::Usage& usage) const {
    const double decode = Seconds(Clock::now() - first_);
    const double rate = tokens_ > 1 && decode > 0 ? (tokens_ - 1) / decode : 0;
    char line[200];
    std::snprintf(line, sizeof line,
                  "%d tokens, %.1f tok/s, first after %.2f s, prompt %d tokens (%d cached)",
                  usage.completion_tokens(), rate, Seconds(first_ - start_), usage.prompt_tokens(),
                  usage.cached_tokens());
    return line;
  }

 private:
  const Clock::time_point start_ = Clock::now();
  Clock::time_point first_ = start_;
  int tokens_ = 0;
};

// Reads the stream to its end, or until stdout takes no more.
bool PrintEvents(grpc::ClientReader<v1::GenerateEvent>& reader, bool json, std::string& text) {
  Stopwatch stopwatch;
  v1::GenerateEvent event;
  while (reader.Read(&event)) {
    text += event.delta().text();
    if (json) {
      if (!PrintJson(event)) return false;
    } else if (event.has_delta()) {
      stopwatch.Count(event.delta());
      if (!Print(event.delta().text())) return false;
    } else if (event.has_usage()) {
      if (!text.ends_with('\n') && !Print("\n")) return false;
      PrintAside(stopwatch.Line(event.usage()));
    }
  }
  return true;
}

}  // namespace

void AddGenerationFlags(CLI::App& command, GenerationFlags& flags) {
  AddConnectionFlags(command, flags.connection);
  command.add_option("--model", flags.model, "Name of the model; the served one unless given");
  command.add_option("--max-tokens", flags.max_tokens, "Longest reply");
  command.add_option("--stop", flags.stop, "Ends the reply where it would appear; up to 4 times")
      ->take_all()
      ->expected(1);
  command.add_option("--seed", flags.seed, "The same seed and request give the same reply")
      ->check(CLI::NonNegativeNumber);  // else -1 wraps
  command.add_flag("--json", flags.json, "Print every event as a line of JSON");
  const auto sampling = [&command](const char* name, auto& value, const char* description) {
    command.add_option(name, value, description)->group("Sampling");
  };
  sampling("--temperature", flags.temperature, "0 to 2; 0 takes the likeliest token");
  sampling("--top-p", flags.top_p, "Above 0 to 1");
  sampling("--top-k", flags.top_k, "0 or more; 0 is off");
  sampling("--min-p", flags.min_p, "0 to 1");
  sampling("--repetition-penalty", flags.repetition_penalty, "Above 0 to 2; 1 is off");
  sampling("--frequency-penalty", flags.frequency_penalty, "-2 to 2");
  sampling("--presence-penalty", flags.presence_penalty, "-2 to 2");
}

void FillOptions(const GenerationFlags& flags, v1::Options& options) {
  v1::Sampling& sampling = *options.mutable_sampling();
  if (flags.max_tokens) options.set_max_tokens(*flags.max_tokens);
  options.mutable_stop()->Assign(flags.stop.begin(), flags.stop.end());
  if (flags.temperature) sampling.set_temperature(*flags.temperature);
  if (flags.top_p) sampling.set_top_p(*flags.top_p);
  if (flags.top_k) sampling.set_top_k(*flags.top_k);
  if (flags.min_p) sampling.set_min_p(*flags.min_p);
  if (flags.repetition_penalty) sampling.set_repetition_penalty(*flags.repetition_penalty);
  if (flags.frequency_penalty) sampling.set_frequency_penalty(*flags.frequency_penalty);
  if (flags.presence_penalty) sampling.set_presence_penalty(*flags.presence_penalty);
  if (flags.seed) sampling.set_seed(*flags.seed);
}

Reply RunGeneration(Connection& connection, Interrupt& interrupt, bool json,
                    const std::function<EventReader(grpc::ClientContext&)>& call) {
  grpc::ClientContext context;
  connection.Authorise(context);
  const Interrupt::Scope scope(interrupt, context);
  const EventReader reader = call(context);
  Reply reply{kExitOk, ""};
  const bool printed = PrintEvents(*reader, json, reply.text);
  if (!printed) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (scope.cancelled()) {
    if (!json && !reply.text.ends_with('\n')) Print("\n");
    reply.exit_code = kExitInterrupted;
  } else if (!printed) {
    std::fprintf(stderr, "hearth: stdout: cannot write\n");
    reply.exit_code = kExitFailure;
  } else {
    const bool open_line = !json && !reply.text.empty() && !reply.text.ends_with('\n');
    if (!status.ok() && open_line) Print("\n");
    reply.exit_code = connection.Report(status);
  }
  return reply;
}

std::string ReadInput() {
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

}  // namespace hearth::cli
