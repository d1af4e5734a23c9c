#include "clients/cli/generation.h"

#include <chrono>
#include <cstdio>
#include <map>
#include <utility>

#include "clients/cli/command.h"
#include "clients/cli/input.h"
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

bool PrintToolCalls(const Choice& choice) {
  for (const auto& [index, call] : choice.tool_calls) {
    if (!Print(call.name() + "(" + call.arguments() + ")\n")) return false;
  }
  return true;
}

// What follows the last piece of text: the end of its line, tool calls, figures.
bool PrintEnd(const Reply& reply, const Stopwatch& stopwatch) {
  const Choice& choice = reply.first();
  const bool ended =
      choice.text.ends_with('\n') || (choice.text.empty() && !choice.tool_calls.empty());
  if (!ended && !Print("\n")) return false;
  if (!PrintToolCalls(choice)) return false;
  PrintAside(stopwatch.Line(reply.usage));
  return true;
}

// Reads the stream to its end, or until stdout takes no more.
bool PrintEvents(GenerationStream& stream, bool json, Reply& reply) {
  Stopwatch stopwatch;
  for (const v1::GenerateEvent& event : stream) {
    reply.Add(event);
    if (json) {
      if (!PrintJson(event)) return false;
    } else if (event.has_delta()) {
      stopwatch.Count(event.delta());
      if (!Print(event.delta().text())) return false;
    } else if (event.has_usage()) {
      if (!PrintEnd(reply, stopwatch)) return false;
    }
  }
  return true;
}

// A call or a failure in the middle of a line ends that line first.
void EndLine(const Reply& reply, bool json) {
  const std::string& text = reply.first().text;
  if (!json && !text.empty() && !text.ends_with('\n')) Print("\n");
}

CLI::Validator WholeNumber() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const bool whole = text.find_first_not_of("0123456789") == std::string::npos;
        return whole ? "" : "expected a whole number, 0 or more";
      },
      "");
}

void AddSamplingFlags(CLI::App& command, v1::Sampling& sampling) {
  const auto number = [&]<typename T>(const char* name, void (v1::Sampling::*set)(T),
                                      const char* description) {
    return command
        .add_option_function<T>(
            name, [&sampling, set](const T& value) { (sampling.*set)(value); }, description)
        ->group("Sampling");
  };
  number("--temperature", &v1::Sampling::set_temperature, "0 to 2; 0 takes the likeliest token");
  number("--top-p", &v1::Sampling::set_top_p, "Above 0 to 1");
  number("--top-k", &v1::Sampling::set_top_k, "1 or more; 0 and -1 are off");
  number("--min-p", &v1::Sampling::set_min_p, "0 to 1");
  number("--repetition-penalty", &v1::Sampling::set_repetition_penalty, "Above 0 to 2; 1 is off");
  number("--frequency-penalty", &v1::Sampling::set_frequency_penalty, "-2 to 2");
  number("--presence-penalty", &v1::Sampling::set_presence_penalty, "-2 to 2");
  number("--seed", &v1::Sampling::set_seed, "The same seed and request give the same reply")
      ->check(WholeNumber());  // CLI11 lets -1 wrap
}

// What the reply must be.
void AddConstraintFlags(CLI::App& command, v1::Options& options) {
  CLI::Option* const schema = command
                                  .add_option_function<std::string>(
                                      "--json-schema",
                                      [&options](const std::string& text) {
                                        options.mutable_constraint()->set_json_schema(text);
                                      },
                                      "The reply is JSON that meets the schema in a file")
                                  ->transform(FileContents())
                                  ->type_name("FILE");
  CLI::Option* const regex = command.add_option_function<std::string>(
      "--regex",
      [&options](const std::string& text) { options.mutable_constraint()->set_regex(text); },
      "The reply is a match of this regular expression");
  CLI::Option* const choice =
      command
          .add_option_function<std::vector<std::string>>(
              "--choice",
              [&options](const std::vector<std::string>& texts) {
                options.mutable_constraint()->mutable_choice()->mutable_texts()->Assign(
                    texts.begin(), texts.end());
              },
              "The reply is one of these texts; repeatable")
          ->take_all()
          ->expected(1);
  schema->excludes(regex)->excludes(choice)->group("Constraint");
  regex->excludes(choice)->group("Constraint");
  choice->group("Constraint");
}

}  // namespace

void AddOptionFlags(CLI::App& command, std::string& model, v1::Options& options) {
  command.add_option("--model", model, "Name of the model; the served one unless given");
  command.add_option_function<int32_t>(
      "--max-tokens", [&options](const int32_t& n) { options.set_max_tokens(n); }, "Longest reply");
  command
      .add_option_function<std::vector<std::string>>(
          "--stop",
          [&options](const std::vector<std::string>& texts) {
            options.mutable_stop()->Assign(texts.begin(), texts.end());
          },
          "Ends the reply where it would appear; up to 4 times")
      ->take_all()
      ->expected(1);
  static const std::map<std::string, v1::Priority> kPriorities = {
      {"low", v1::PRIORITY_LOW}, {"normal", v1::PRIORITY_NORMAL}, {"high", v1::PRIORITY_HIGH}};
  command
      .add_option_function<std::string>(
          "--priority",
          [&options](const std::string& name) { options.set_priority(kPriorities.at(name)); },
          "High is admitted first, low yields its place")
      ->check(CLI::IsMember({"low", "normal", "high"}));
  command.add_option_function<std::string>(
      "--cache-key", [&options](const std::string& key) { options.set_cache_key(key); },
      "Shares cached prefixes only with requests of the same key");
  command.add_flag_callback(
      "--drop-oldest", [&options] { options.set_overflow(v1::OVERFLOW_DROP_OLDEST); },
      "Leaves out the oldest messages when the context is full, instead of failing");
  AddSamplingFlags(command, *options.mutable_sampling());
}

void AddGenerationFlags(CLI::App& command, GenerationFlags& flags) {
  AddConnectionFlags(command, flags.connection);
  AddOptionFlags(command, flags.model, flags.options);
  AddConstraintFlags(command, flags.options);
  command.add_flag("--json", flags.json, "Print every event as a line of JSON");
}

Outcome RunGeneration(const Connection& connection, Interrupt& interrupt, bool json,
                      const std::function<GenerationStream(const CallOptions&)>& call) {
  const Interrupt::Scope scope(interrupt);
  GenerationStream stream = call(connection.options(scope.token()));
  Outcome outcome{kExitOk, {}};
  const bool printed = PrintEvents(stream, json, outcome.reply);
  if (scope.token().stop_requested()) {
    if (!json && !outcome.reply.first().text.ends_with('\n')) Print("\n");
    outcome.exit_code = kExitInterrupted;
  } else if (!printed) {
    outcome.exit_code = Written(false);
  } else {
    if (!stream.status().ok()) EndLine(outcome.reply, json);
    outcome.exit_code = connection.Report(stream.status());
  }
  return outcome;
}

}  // namespace hearth::cli
