#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>

#include "engine/engine.h"
#include "server/log.h"
#include "server/version.h"

namespace hearth::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::ClientMetric;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

const Histogram::BucketBoundaries kFirstTokenSeconds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                        1,    2.5,   5,    10,  30,   60};
const Histogram::BucketBoundaries kInterTokenSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                        0.1,   0.25,   0.5,   1,    2.5,   5};
const Histogram::BucketBoundaries kGenerationSeconds = {0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};

// Figures that others count are exported as they stand, not added up a second time.
MetricFamily Figure(MetricType type, const char* name, const char* help, double value,
                    std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {.name = name, .help = help, .type = type, .metric = {std::move(metric)}};
}

void AppendEngine(const EngineStats& stats, std::vector<MetricFamily>& out) {
  const auto gauge = [&out](const char* name, const char* help, double value) {
    out.push_back(Figure(MetricType::Gauge, name, help, value));
  };
  const auto counter = [&out](const char* name, const char* help, uint64_t value) {
    out.push_back(Figure(MetricType::Counter, name, help, static_cast<double>(value)));
  };
  gauge("hearth_requests_queued", "Requests that wait to be computed.", stats.queued);
  gauge("hearth_requests_running", "Requests that hold KV blocks.", stats.running);
  gauge("hearth_kv_blocks", "KV blocks of 32 tokens in all.", stats.blocks_total);
  gauge("hearth_kv_blocks_used", "KV blocks held by running requests and pinned prefixes.",
        stats.blocks_used);
  gauge("hearth_kv_blocks_cached", "Free KV blocks that hold a reusable prefix.",
        stats.blocks_cached);
  gauge("hearth_kv_blocks_pinned", "KV blocks that pinned prefixes hold.", stats.blocks_pinned);
  counter("hearth_prompt_tokens_total", "Prompt tokens computed.", stats.prompt_tokens_computed);
  counter("hearth_prompt_tokens_cached_total", "Prompt tokens taken from the prefix cache.",
          stats.prompt_tokens_cached);
  counter("hearth_generated_tokens_total", "Tokens drawn.", stats.tokens_generated);
  counter("hearth_recomputed_tokens_total", "Tokens computed again after a preemption.",
          stats.tokens_recomputed);
  counter("hearth_engine_steps_total", "Steps of the engine loop.", stats.steps);
  counter("hearth_preemptions_total", "Requests set back because KV blocks ran out.",
          stats.preemptions);
  counter("hearth_cancellations_total", "Requests cancelled, by clients that left too.",
          stats.cancellations);
  gauge("hearth_weight_cache_failed",
        "1 when packed weights could not be written for the next start.",
        stats.weight_cache_failed);
}

void AppendModel(const ModelInfo& info, std::vector<MetricFamily>& out) {
  out.push_back(Figure(MetricType::Gauge, "hearth_model_info", "The served model; always 1.", 1,
                       {{"architecture", info.architecture},
                        {"isa", info.isa},
                        {"kv_type", info.kv_type},
                        {"weight_type", info.weight_type}}));
  out.push_back(Figure(MetricType::Gauge, "hearth_load_seconds",
                       "Loading the model took, by where its weights came from.",
                       std::chrono::duration<double>(info.load_time).count(),
                       {{"weights", info.weights_from_cache ? "cache" : "model"}}));
  MetricFamily memory{.name = "hearth_memory_planned_bytes",
                      .help = "Memory planned at start, by use.",
                      .type = MetricType::Gauge,
                      .metric = {}};
  const std::pair<const char*, uint64_t> uses[] = {
      {"weights", info.memory.weights}, {"kv", info.memory.kv}, {"buffers", info.memory.buffers}};
  for (const auto& [use, bytes] : uses) {
    ClientMetric metric;
    metric.label = {{"use", use}};
    metric.gauge.value = static_cast<double>(bytes);
    memory.metric.push_back(std::move(metric));
  }
  out.push_back(std::move(memory));
  out.push_back(Figure(MetricType::Gauge, "hearth_memory_limit_bytes",
                       "What the plan has to fit in.", static_cast<double>(info.memory.limit)));
}

double ResidentBytes() {
  uint64_t size = 0;
  uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  Histogram& first_token = BuildHistogram()
                               .Name("hearth_time_to_first_token_seconds")
                               .Help("From a generation's start to its first token.")
                               .Register(registry)
                               .Add({}, kFirstTokenSeconds);
  Histogram& inter_token = BuildHistogram()
                               .Name("hearth_inter_token_latency_seconds")
                               .Help("Between two tokens of one choice.")
                               .Register(registry)
                               .Add({}, kInterTokenSeconds);
  Family<Histogram>& generations =
      BuildHistogram()
          .Name("hearth_generation_duration_seconds")
          .Help("From a generation's start to its end, by how it ended.")
          .Register(registry);
  Family<Counter>& requests = BuildCounter()
                                  .Name("hearth_requests_total")
                                  .Help("Requests answered, by route or method and status.")
                                  .Register(registry);
  Counter& ignored_fields = BuildCounter()
                                .Name("hearth_ignored_fields_total")
                                .Help("Fields of requests that are in nobody's schema.")
                                .Register(registry)
                                .Add({});
  Family<Gauge>& connections =
      BuildGauge().Name("hearth_connections").Help("Connections now open.").Register(registry);
  Family<Counter>& shed = BuildCounter()
                              .Name("hearth_connections_shed_total")
                              .Help("Connections refused or ended because a limit was reached.")
                              .Register(registry);
  Gauge& start_time = BuildGauge()
                          .Name("process_start_time_seconds")
                          .Help("Unix time at which the daemon started.")
                          .Register(registry)
                          .Add({});
};

Metrics::Metrics() : state_(std::make_unique<State>()) {
  state_->start_time.Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
}

Metrics::~Metrics() = default;

void Metrics::ObserveTimeToFirstToken(absl::Duration d) {
  state_->first_token.Observe(absl::ToDoubleSeconds(d));
}

void Metrics::ObserveInterToken(absl::Duration d) {
  state_->inter_token.Observe(absl::ToDoubleSeconds(d));
}

void Metrics::CountGeneration(std::string_view outcome, absl::Duration d) {
  state_->generations.Add({{"outcome", std::string(outcome)}}, kGenerationSeconds)
      .Observe(absl::ToDoubleSeconds(d));
}

void Metrics::CountRequest(std::string_view transport, std::string_view route,
                           std::string_view status) {
  state_->requests
      .Add({{"transport", std::string(transport)},
            {"route", std::string(route)},
            {"status", std::string(status)}})
      .Increment();
}

void Metrics::CountIgnoredFields(size_t fields) {
  state_->ignored_fields.Increment(static_cast<double>(fields));
}

void Metrics::SetConnections(std::string_view transport, int open) {
  state_->connections.Add({{"transport", std::string(transport)}}).Set(open);
}

void Metrics::CountShed(std::string_view transport) {
  state_->shed.Add({{"transport", std::string(transport)}}).Increment();
}

std::string Metrics::Render(const EngineStats* stats, const ModelInfo* info) {
  std::vector<MetricFamily> families = state_->registry.Collect();
  families.push_back(Figure(MetricType::Gauge, "hearth_build_info", "This build; always 1.", 1,
                            {{"version", kVersion}}));
  families.push_back(Figure(MetricType::Gauge, "process_resident_memory_bytes",
                            "Resident memory of the daemon.", ResidentBytes()));
  families.push_back(Figure(MetricType::Counter, "hearth_log_lines_dropped_total",
                            "Log lines dropped because nobody read them.",
                            static_cast<double>(DroppedLogLines())));
  if (stats != nullptr) AppendEngine(*stats, families);
  if (info != nullptr) AppendModel(*info, families);
  // A family without series yet would leave a header without samples.
  std::erase_if(families, [](const MetricFamily& f) { return f.metric.empty(); });
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace hearth::server
