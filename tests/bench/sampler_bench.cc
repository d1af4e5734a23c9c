// Draws from a 200,064-token row. The logits of a language model look like the sum of a wide bell
// and a few likely tokens; the flat row is the sampler's worst case.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/sampler.h"

namespace hearth {
namespace {

constexpr int32_t kVocabulary = 200064;

std::vector<float> Logits(float spread) {
  std::mt19937 random(7);
  std::normal_distribution<float> bell(0.0f, spread);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = bell(random);
  for (int i = 0; i < 10; ++i) logits[(i * 7919) % kVocabulary] += 4.0f * spread;
  return logits;
}

void Run(benchmark::State& state, const SamplingParams& params, int32_t top_logprobs = -1) {
  Request request;
  request.prompt = {1};
  request.sampling = params;
  request.top_logprobs = top_logprobs;
  Sampler sampler(request, kVocabulary);
  std::vector<float> logits = Logits(static_cast<float>(state.range(0)));
  int64_t position = 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sampler.Draw(absl::MakeSpan(logits), position++, 0));
  }
}

SamplingParams Params(float temperature, float top_p = 1, int32_t top_k = 0, float min_p = 0) {
  SamplingParams params;
  params.temperature = temperature;
  params.top_p = top_p;
  params.top_k = top_k;
  params.min_p = min_p;
  return params;
}

void Greedy(benchmark::State& state) { Run(state, Params(0)); }
void Temperature(benchmark::State& state) { Run(state, Params(1)); }
void TopP(benchmark::State& state) { Run(state, Params(1, 0.9f)); }
void TopK(benchmark::State& state) { Run(state, Params(1, 1, 40)); }
void AllFilters(benchmark::State& state) { Run(state, Params(0.7f, 0.9f, 1000, 0.01f)); }
void GreedyWithLogprobs(benchmark::State& state) { Run(state, Params(0), 20); }

BENCHMARK(Greedy)->Arg(3)->Unit(benchmark::kMicrosecond);
BENCHMARK(Temperature)->Arg(3)->Arg(1)->Arg(0)->Unit(benchmark::kMicrosecond);
BENCHMARK(TopP)->Arg(3)->Arg(1)->Arg(0)->Unit(benchmark::kMicrosecond);
BENCHMARK(TopK)->Arg(3)->Unit(benchmark::kMicrosecond);
BENCHMARK(AllFilters)->Arg(3)->Unit(benchmark::kMicrosecond);
BENCHMARK(GreedyWithLogprobs)->Arg(3)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth

BENCHMARK_MAIN();
