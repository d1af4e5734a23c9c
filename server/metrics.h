// Prometheus metrics of the daemon, through prometheus-cpp's registry. Safe from any thread.
#ifndef HEARTH_SERVER_METRICS_H_
#define HEARTH_SERVER_METRICS_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace hearth {
struct EngineStats;
struct ModelInfo;
}  // namespace hearth

namespace hearth::server {

// Names begin with hearth_, or process_ where Prometheus has a standard name; none holds a
// colon; units are base units; counters end in _total.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // Seconds from a generation's start to its first token, and between two tokens of one choice.
  void ObserveTimeToFirstToken(absl::Duration d);
  void ObserveInterToken(absl::Duration d);
  // A generation ended: "stop", "length", "tool_calls", "cancelled", "error". Duration from start
  // to end.
  void CountGeneration(std::string_view outcome, absl::Duration d);
  // A request was answered: HTTP route or gRPC method, and status. REQUIRES: `route` comes from
  // a table, never from the client: each value is a time series.
  void CountRequest(std::string_view transport, std::string_view route, std::string_view status);
  // Fields of requests that are in nobody's schema.
  void CountIgnoredFields(size_t fields);
  // Connections now open, and refused or ended at a limit, by transport ("http", "grpc").
  void SetConnections(std::string_view transport, int open);
  void CountShed(std::string_view transport);

  // Prometheus text format 0.0.4. The engine's figures are read at this moment; `stats` and
  // `info` are null while the model loads.
  std::string Render(const EngineStats* stats, const ModelInfo* info);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_METRICS_H_
