// How fast a loaded model reads prompts, continues them, and does both at once, and how near that
// is to what the machine can do. Everything goes through the Engine as it serves.
#ifndef HEARTH_ENGINE_BENCHMARK_H_
#define HEARTH_ENGINE_BENCHMARK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace hearth {

struct MachineLimits {
  std::string isa;  // whose products these are
  int32_t threads = 0;
  double read_bytes_per_second = 0;
  double int8_products_per_second = 0;  // a multiplication and an addition each
};

// Takes some seconds and, meanwhile, 512 MiB. `threads` and `isa` as in EngineOptions; errors as
// of Engine::Load.
absl::StatusOr<MachineLimits> MeasureLimits(int32_t threads, const std::string& isa);

enum class BenchmarkTest : uint8_t {
  kPrefill,  // one prompt alone, up to its first token
  kDecode,   // streams that have begun their output, for `generate` tokens of each
  kMixed,    // the same streams while one prompt comes in, up to its first token
};

inline constexpr BenchmarkTest kBenchmarkTests[] = {BenchmarkTest::kPrefill, BenchmarkTest::kDecode,
                                                    BenchmarkTest::kMixed};

constexpr std::string_view Name(BenchmarkTest test) {
  switch (test) {
    case BenchmarkTest::kPrefill:
      return "prefill";
    case BenchmarkTest::kDecode:
      return "decode";
    case BenchmarkTest::kMixed:
      return "mixed";
  }
  return "?";
}

// Prompts are random tokens, new ones each time; what streams have behind them is random too, and
// computed before they are timed.
struct BenchmarkOptions {
  std::vector<BenchmarkTest> tests{std::begin(kBenchmarkTests), std::end(kBenchmarkTests)};
  std::vector<int32_t> prompts{512};             // their tokens, >= 1
  std::vector<int32_t> streams{1, 2, 4, 8, 16};  // >= 1
  std::vector<int32_t> depths{0};                // tokens that streams have behind them, >= 0
  int32_t generate = 128;                        // >= 1
  int32_t shared_prefix = 0;  // the first so many tokens are the same in all of them, and cached
  int32_t repeat = 3;         // >= 1
};

// Of several runs.
struct Spread {
  double median = 0, least = 0, most = 0;
};
Spread SpreadOf(std::vector<double> values);  // REQUIRES: not empty

struct Quantiles {
  double p50 = 0, p95 = 0, p99 = 0;
};
// Each the least value that so many of them do not exceed. REQUIRES: not empty.
Quantiles QuantilesOf(std::vector<double> values);

// What a test found, of those of its numbers that it has.
struct BenchmarkRow {
  BenchmarkTest test = BenchmarkTest::kPrefill;
  std::optional<int32_t> streams = {}, depth = {}, prompt = {}, generate = {};
  int32_t runs = 0;
  int64_t cached_tokens = 0;                  // of the prompts, over all runs
  int64_t decoded_tokens = 0;                 // while timed, likewise
  std::optional<Spread> prefill_rate = {};    // prompt tokens per second, cached ones included
  std::optional<Spread> decode_rate = {};     // of all streams together
  std::optional<Quantiles> inter_token = {};  // seconds, over all streams and runs
  // The time that the work takes at the machine's limits over the time it took: reading the weights
  // in each step and the cache that is attended to, or the products of tokens and weights,
  // whichever takes longer. Attention's own products are left out.
  Spread of_limit = {};
  bool bound_by_reading = false;
};

// What an engine needs for these tests, besides the model's path.
EngineOptions BenchmarkEngineOptions(const BenchmarkOptions& options);

// Runs the tests one after the other and reports each; errors as of Engine::Submit. REQUIRES: the
// engine was loaded with BenchmarkEngineOptions(options), and nothing else is submitted to it.
absl::Status RunBenchmark(Engine& engine, const BenchmarkOptions& options,
                          const MachineLimits& limits,
                          const std::function<void(const BenchmarkRow&)>& report);

}  // namespace hearth

#endif  // HEARTH_ENGINE_BENCHMARK_H_
