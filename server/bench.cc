// hearthd bench: how fast a model reads and writes here, and how near that is to the machine's
// limits.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/benchmark.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/commands.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Json = nlohmann::ordered_json;

std::string Cell(const std::optional<int32_t>& count) { return count ? absl::StrCat(*count) : "-"; }

std::string Cell(const std::optional<Spread>& rate) {
  if (!rate) return "-";
  return absl::StrFormat("%.2f (%.2f-%.2f)", rate->median, rate->least, rate->most);
}

std::string Milliseconds(const std::optional<Quantiles>& seconds) {
  if (!seconds) return "-";
  return absl::StrFormat("%.1f %.1f %.1f", 1e3 * seconds->p50, 1e3 * seconds->p95,
                         1e3 * seconds->p99);
}

std::string Describe(const MachineLimits& limits) {
  return absl::StrFormat("%s, %d threads: reads %.1f GB/s, multiplies int8 at %.2f TOPS",
                         limits.isa, limits.threads, 1e-9 * limits.read_bytes_per_second,
                         2e-12 * limits.int8_products_per_second);
}

constexpr char kColumns[] = "%-8s %7s %6s %6s %24s %24s %24s  %s\n";

void PrintHead(const std::string& path, const ModelInfo& info, const MachineLimits& limits) {
  absl::PrintF("model    %s: %s, %s, KV %s\nmemory   %s\nmachine  %s\n\n", path, info.architecture,
               info.weight_type, info.kv_type, info.memory.ToString(), Describe(limits));
  absl::PrintF(kColumns, "TEST", "STREAMS", "DEPTH", "PROMPT", "PREFILL tok/s", "DECODE tok/s",
               "ms/token p50 p95 p99", "OF LIMIT");
  std::fflush(stdout);
}

void PrintRow(const BenchmarkRow& row) {
  absl::PrintF(kColumns, Name(row.test), Cell(row.streams), Cell(row.depth), Cell(row.prompt),
               Cell(row.prefill_rate), Cell(row.decode_rate), Milliseconds(row.inter_token),
               absl::StrFormat("%.0f %% %s", 100 * row.of_limit.median,
                               row.bound_by_reading ? "read" : "int8"));
  std::fflush(stdout);  // the next one may take minutes
}

Json ToJson(const Spread& spread) {
  return {{"median", spread.median}, {"min", spread.least}, {"max", spread.most}};
}

Json ToJson(const MachineLimits& limits) {
  return {{"isa", limits.isa},
          {"threads", limits.threads},
          {"read_bytes_per_second", limits.read_bytes_per_second},
          {"int8_ops_per_second", 2 * limits.int8_products_per_second}};
}

Json ToJson(const ModelInfo& info) {
  return {{"name", info.name},
          {"architecture", info.architecture},
          {"weight_type", info.weight_type},
          {"kv_type", info.kv_type},
          {"parameters", info.parameters},
          {"step_bytes", info.work.step_bytes},
          {"memory_bytes", info.memory.total()}};
}

Json ToJson(const BenchmarkRow& row) {
  Json json = {{"test", Name(row.test)}};
  if (row.streams) json["streams"] = *row.streams;
  if (row.depth) json["depth"] = *row.depth;
  if (row.prompt) json["prompt"] = *row.prompt;
  if (row.generate) json["generate"] = *row.generate;
  json["runs"] = row.runs;
  if (row.prompt) json["cached_tokens"] = row.cached_tokens;
  if (row.prefill_rate) json["prefill_tokens_per_second"] = ToJson(*row.prefill_rate);
  if (row.decode_rate) {
    json["decoded_tokens"] = row.decoded_tokens;
    json["decode_tokens_per_second"] = ToJson(*row.decode_rate);
  }
  if (row.inter_token) {
    json["inter_token_ms"] = {{"p50", 1e3 * row.inter_token->p50},
                              {"p95", 1e3 * row.inter_token->p95},
                              {"p99", 1e3 * row.inter_token->p99}};
  }
  json["of_limit"] = ToJson(row.of_limit);
  json["limit"] = row.bound_by_reading ? "read" : "int8";
  return json;
}

absl::Status RunTests(const BenchOptions& options, const MachineLimits& limits) {
  EngineOptions engine_options = BenchmarkEngineOptions(options.benchmark);
  engine_options.model_path = options.model_path;
  engine_options.kv_type = options.kv_type;
  engine_options.threads = options.threads;
  HEARTH_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Load(engine_options));
  if (!options.json) {
    PrintHead(options.model_path, engine->info(), limits);
    return RunBenchmark(*engine, options.benchmark, limits, PrintRow);
  }
  Json rows = Json::array();
  HEARTH_RETURN_IF_ERROR(RunBenchmark(*engine, options.benchmark, limits,
                                      [&](const auto& row) { rows.push_back(ToJson(row)); }));
  const Json json = {
      {"model", ToJson(engine->info())}, {"machine", ToJson(limits)}, {"rows", rows}};
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return absl::OkStatus();
}

absl::Status Run(const BenchOptions& options) {
  HEARTH_ASSIGN_OR_RETURN(const MachineLimits limits, MeasureLimits(options.threads, /*isa=*/""));
  if (!options.limits_only) return RunTests(options, limits);
  std::cout << (options.json ? ToJson(limits).dump(2) : Describe(limits)) << "\n";
  return absl::OkStatus();
}

}  // namespace

int Bench(const BenchOptions& options) {
  const absl::Status status = Run(options);
  if (!status.ok()) {
    std::cerr << "hearthd: " << status.message() << "\n";
    return LoadExitCode(status);
  }
  return std::cout.flush() && std::fflush(stdout) == 0 ? kExitOk : kExitOs;
}

}  // namespace hearth::server
