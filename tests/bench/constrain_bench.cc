// Constrained decoding on Phi-4-mini's vocabulary: compiling schemas, and a mask per token along
// documents. Counters are microseconds: of the median mask, the 99th percentile and the slowest.
// Needs the public vocabulary.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "engine/formats/checkpoint.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/constrain/documents.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kVocabulary[] = HEARTH_SHARED_DATA "/tokenizers/phi-4-mini.vocab-only.gguf";

const TokenTrie* Phi4Trie() {
  static const std::unique_ptr<Tokenizer> tokenizer = []() -> std::unique_ptr<Tokenizer> {
    auto vocabulary = OpenVocabulary(kVocabulary);
    if (!vocabulary.ok()) return nullptr;
    auto created = Tokenizer::Create(*std::move(vocabulary));
    return created.ok() ? *std::move(created) : nullptr;
  }();
  if (tokenizer == nullptr) return nullptr;
  static const TokenTrie trie(*tokenizer);
  return &trie;
}

struct Case {
  const char* name;
  const char* schema;
};

constexpr Case kCases[] = {
    {"person", R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",
      "minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"tags":{"type":"array",
      "items":{"type":"string"}}},"required":["name","age"],"additionalProperties":false})"},
    {"open", R"({"type":"object","properties":{"title":{"type":"string"},"score":{"type":"number"},
      "nested":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"boolean"}}}}})"},
    {"any", R"({})"},
    {"bounded",
     R"({"type":"object","properties":{"id":{"type":"string","pattern":"^[A-Z]{2}-\\d{4,}$"},
      "note":{"type":"string","maxLength":40},"long":{"type":"string","minLength":30,"maxLength":2000},
      "slug":{"type":"string","pattern":"^[a-z0-9-]{1,60}$"},"no_at":{"type":"string",
      "pattern":"^[^@]*$"},"when":{"type":"string","format":"date-time"}},
      "required":["id","note","long","slug","no_at","when"],"additionalProperties":false})"},
    {"tree", R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{
      "value":{"type":"string"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},
      "required":["value","children"],"additionalProperties":false}}})"},
    {"union", R"({"anyOf":[{"type":"object","properties":{"kind":{"const":"circle"},"radius":
      {"type":"number"}},"required":["kind","radius"],"additionalProperties":false},{"type":"object",
      "properties":{"kind":{"const":"box"},"width":{"type":"number"},"height":{"type":"number"}},
      "required":["kind","width","height"],"additionalProperties":false},{"type":"string"},
      {"type":"array","items":{"type":"string","pattern":"^.{1,50}$"}}]})"},
    {"letters",
     R"({"type":"array","items":{"type":"string","pattern":"^\\p{L}{2,}( \\p{Lu}\\p{L}*)*$"}})"},
};

std::shared_ptr<const Constraint> Compile(const Case& c) {
  auto constraint = Constraint::Compile(JsonSchemaSource{c.schema});
  return constraint.ok() ? *std::move(constraint) : nullptr;
}

void BM_Compile(benchmark::State& state) {
  const Case& c = kCases[state.range(0)];
  state.SetLabel(c.name);
  for (auto _ : state) benchmark::DoNotOptimize(Compile(c));
}
BENCHMARK(BM_Compile)->DenseRange(0, std::size(kCases) - 1)->Unit(benchmark::kMicrosecond);

// A schema of 100 properties, each an object of its own with ten.
void BM_CompileLarge(benchmark::State& state) {
  Json schema = {{"type", "object"}};
  for (int i = 0; i < 100; ++i) {
    Json inner = {{"type", "object"}};
    for (int j = 0; j < 10; ++j) {
      inner["properties"]["field" + std::to_string(j)] = {{"type", j % 2 ? "string" : "integer"}};
    }
    schema["properties"]["property" + std::to_string(i)] = inner;
  }
  for (auto _ : state) benchmark::DoNotOptimize(CompileSchema(schema));
}
BENCHMARK(BM_CompileLarge)->Unit(benchmark::kMillisecond);

void BM_CompileEnum(benchmark::State& state) {
  Json schema;
  for (int i = 0; i < 10000; ++i) schema["enum"].push_back("value number " + std::to_string(i));
  for (auto _ : state) benchmark::DoNotOptimize(CompileSchema(schema));
}
BENCHMARK(BM_CompileEnum)->Unit(benchmark::kMillisecond);

void BM_CompileWide(benchmark::State& state) {
  Json schema = {{"type", "object"}};
  for (int i = 0; i < 1000; ++i) {
    schema["properties"]["property" + std::to_string(i)] = {{"type", "string"}};
  }
  for (auto _ : state) benchmark::DoNotOptimize(CompileSchema(schema));
}
BENCHMARK(BM_CompileWide)->Unit(benchmark::kMillisecond);

// Refused at the end of the budget.
void BM_CompileTooComplex(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(Constraint::Compile(RegexSource{"(a|b)*a(a|b){40}"}));
}
BENCHMARK(BM_CompileTooComplex)->Unit(benchmark::kMillisecond);

// Of this thread: on a busy machine the clock on the wall tells of others.
double CpuMicros() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

TokenId RandomToken(std::mt19937& random, const MaskWords& mask) {
  size_t count = 0;
  for (const uint64_t word : mask) count += std::popcount(word);
  size_t pick = random() % count;
  for (size_t i = 0;; ++i) {
    const size_t here = std::popcount(mask[i]);
    if (pick >= here) {
      pick -= here;
      continue;
    }
    uint64_t word = mask[i];
    for (; pick > 0; --pick) word &= word - 1;
    return static_cast<TokenId>(i * 64 + std::countr_zero(word));
  }
}

void Report(benchmark::State& state, std::vector<double>& micros) {
  std::sort(micros.begin(), micros.end());
  state.counters["p50"] = micros[micros.size() / 2];
  state.counters["p99"] = micros[micros.size() * 99 / 100];
  state.counters["max"] = micros.back();
}

// Documents of tokens drawn evenly from each mask, at most 60 tokens long. Kept masks are thrown
// away after each document (cold) or not.
void BM_RandomDocuments(benchmark::State& state, bool cold) {
  if (Phi4Trie() == nullptr) return state.SkipWithError("the vocabulary is absent");
  const Case& c = kCases[state.range(0)];
  state.SetLabel(c.name);
  const auto constraint = Compile(c);
  std::mt19937 random(1);
  std::vector<double> micros;
  MaskWords mask(Phi4Trie()->words());
  auto masks = std::make_unique<TokenMasks>(*Phi4Trie());
  for (auto _ : state) {
    if (cold) masks = std::make_unique<TokenMasks>(*Phi4Trie());
    Matcher matcher(constraint, *masks, Phi4Trie()->tokenizer().stop_tokens());
    for (int step = 0; step < 60 && !matcher.IsOver(); ++step) {
      const double start = CpuMicros();
      benchmark::DoNotOptimize(matcher.FillMask(absl::MakeSpan(mask)));
      micros.push_back(CpuMicros() - start);
      matcher.Accept(RandomToken(random, mask));
    }
  }
  Report(state, micros);
}
BENCHMARK_CAPTURE(BM_RandomDocuments, cold, true)
    ->DenseRange(0, std::size(kCases) - 1)
    ->Iterations(100);
BENCHMARK_CAPTURE(BM_RandomDocuments, warm, false)
    ->DenseRange(0, std::size(kCases) - 1)
    ->Iterations(100);

// A document as a model would write it.
void BM_Document(benchmark::State& state, bool cold) {
  if (Phi4Trie() == nullptr) return state.SkipWithError("the vocabulary is absent");
  const auto constraint = Compile(kCases[0]);
  const std::string text =
      "{\n  \"name\": \"Ada Lovelace, Countess of \\\"L\\\"\",\n  \"age\": 36,\n  \"email\": "
      "\"ada@example.org\",\n  \"tags\": [\"mathematics\", \"poetry of the sciences\", \"\"]\n}";
  const std::vector<TokenId> tokens = Phi4Trie()->tokenizer().Encode(text);
  std::vector<double> micros;
  MaskWords mask(Phi4Trie()->words());
  auto masks = std::make_unique<TokenMasks>(*Phi4Trie());
  for (auto _ : state) {
    if (cold) masks = std::make_unique<TokenMasks>(*Phi4Trie());
    Matcher matcher(constraint, *masks, Phi4Trie()->tokenizer().stop_tokens());
    for (const TokenId token : tokens) {
      const double start = CpuMicros();
      benchmark::DoNotOptimize(matcher.FillMask(absl::MakeSpan(mask)));
      micros.push_back(CpuMicros() - start);
      if (!matcher.Accept(token)) return state.SkipWithError("the document is refused");
    }
  }
  Report(state, micros);
}
BENCHMARK_CAPTURE(BM_Document, cold, true)->Iterations(100);
BENCHMARK_CAPTURE(BM_Document, warm, false)->Iterations(1000);

void BM_MakeTrie(benchmark::State& state) {
  if (Phi4Trie() == nullptr) return state.SkipWithError("the vocabulary is absent");
  for (auto _ : state) {
    const TokenTrie trie(Phi4Trie()->tokenizer());
    benchmark::DoNotOptimize(&trie);
  }
  state.counters["bytes"] = static_cast<double>(Phi4Trie()->bytes());
}
BENCHMARK(BM_MakeTrie)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth

BENCHMARK_MAIN();
