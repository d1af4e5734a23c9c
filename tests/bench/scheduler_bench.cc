// One scheduling step (Schedule and Apply) with 16 running and 64 queued requests.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "engine/request.h"
#include "engine/scheduler/scheduler.h"

namespace hearth {
namespace {

Request Ask(int32_t prompt_tokens, TokenId first) {
  Request request;
  request.prompt.assign(prompt_tokens, first);
  request.max_tokens = 1 << 20;
  return request;
}

// `max_running` above 16 leaves slots free, so that each step looks through the whole queue: it
// cannot start anything, since every request waits for the prefix that the first is computing.
void Step(benchmark::State& state, int32_t max_running, bool same_prefix) {
  SchedulerOptions options;
  options.num_blocks = 1 << 20;
  options.max_running = max_running;
  Scheduler scheduler(options);
  Clock::time_point now;
  RequestId id = 0;
  for (int i = 0; i < 16; ++i) (void)scheduler.Add(++id, Ask(64, i), now);
  const auto step = [&](const Budget& budget) {
    const Batch batch = scheduler.Schedule(budget, now);
    const std::vector<Drawn> drawn(batch.entries.size(), Token{5, {}, {}});
    scheduler.Apply(batch, drawn);
    scheduler.TakeEvents();
  };
  for (int i = 0; i < 4; ++i) step({512, 512});
  if (same_prefix) {
    (void)scheduler.Add(++id, Ask(1 << 20, 99), now);
    step({17, 1});
  }
  for (int i = 0; i < 64; ++i) (void)scheduler.Add(++id, Ask(2048, 99), now);
  for (auto _ : state) step({17, 1});
  state.counters["running"] = scheduler.stats().running;
  state.counters["queued"] = scheduler.stats().queued;
}

void FullHouse(benchmark::State& state) { Step(state, 16, false); }
void QueueHeldByPrefix(benchmark::State& state) { Step(state, 32, true); }

// Iterations are fixed: each adds a token to every sequence.
BENCHMARK(FullHouse)->Iterations(20000)->Unit(benchmark::kMicrosecond);
BENCHMARK(QueueHeldByPrefix)
    ->Iterations(31)
    ->Repetitions(20)
    ->ReportAggregatesOnly()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth

BENCHMARK_MAIN();
