// Phi-4-mini's tokenizer: encoding in bytes per second, decoding in tokens, and how long it takes
// to make. Needs the public vocabulary.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth {
namespace {

constexpr char kVocabulary[] = HEARTH_SHARED_DATA "/tokenizers/phi-4-mini.vocab-only.gguf";
constexpr size_t kTextBytes = 1 << 20;

const Tokenizer* Phi4() {
  static const std::unique_ptr<Tokenizer> tokenizer = []() -> std::unique_ptr<Tokenizer> {
    auto vocabulary = OpenVocabulary(kVocabulary);
    if (!vocabulary.ok()) return nullptr;
    auto created = Tokenizer::Create(*std::move(vocabulary));
    return created.ok() ? *std::move(created) : nullptr;
  }();
  return tokenizer.get();
}

std::string Repeated(std::string_view unit) {
  std::string text;
  while (text.size() < kTextBytes) text.append(unit);
  return text;
}

std::string Prose() {
  return Repeated(
      "The gateway's third sensor hasn't reported since 04:15; its neighbours (numbers 12 and 117) "
      "still do. Please restart it, wait for two readings, and tell me whether they look "
      "plausible.\n"
      "If they don't, I'll ask somebody to replace the batteries on Wednesday.\n\n");
}

// No piece is a token whole: everything is merged.
std::string RandomLetters() {
  std::mt19937 random(5);
  std::string text;
  while (text.size() < kTextBytes) {
    for (size_t i = 4 + random() % 12; i > 0; --i) {
      text.push_back(static_cast<char>('a' + random() % 26));
    }
    text.push_back(' ');
  }
  return text;
}

// Tokens drawn evenly: every script, and every part of the tables.
std::string RandomTokens(const Tokenizer& tokenizer) {
  std::mt19937 random(5);
  std::string text;
  while (text.size() < kTextBytes) {
    text.append(tokenizer.Bytes(static_cast<TokenId>(random() % tokenizer.vocab_size())));
  }
  return text;
}

enum class Text { kProse, kRandomLetters, kRandomTokens, kOneLetter, kSpaces };

std::string Make(Text text, const Tokenizer& tokenizer) {
  switch (text) {
    case Text::kProse:
      return Prose();
    case Text::kRandomLetters:
      return RandomLetters();
    case Text::kRandomTokens:
      return RandomTokens(tokenizer);
    case Text::kOneLetter:
      return std::string(kTextBytes, 'a');
    case Text::kSpaces:
      return std::string(kTextBytes, ' ');
  }
  return "";
}

void BM_Encode(benchmark::State& state, Text kind) {
  if (Phi4() == nullptr) return state.SkipWithError("the vocabulary is absent");
  const std::string text = Make(kind, *Phi4());
  for (auto _ : state) benchmark::DoNotOptimize(Phi4()->Encode(text));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}
BENCHMARK_CAPTURE(BM_Encode, prose, Text::kProse);
BENCHMARK_CAPTURE(BM_Encode, random_letters, Text::kRandomLetters);
BENCHMARK_CAPTURE(BM_Encode, random_tokens, Text::kRandomTokens);
BENCHMARK_CAPTURE(BM_Encode, one_letter, Text::kOneLetter);
BENCHMARK_CAPTURE(BM_Encode, spaces, Text::kSpaces);

void BM_StreamDecode(benchmark::State& state) {
  if (Phi4() == nullptr) return state.SkipWithError("the vocabulary is absent");
  const std::vector<TokenId> ids = Phi4()->Encode(Prose());
  for (auto _ : state) {
    StreamDecoder decoder(*Phi4());
    for (const TokenId id : ids) benchmark::DoNotOptimize(decoder.Push(id));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * ids.size()));
}
BENCHMARK(BM_StreamDecode);

void BM_Create(benchmark::State& state) {
  auto vocabulary = OpenVocabulary(kVocabulary);
  if (!vocabulary.ok()) return state.SkipWithError("the vocabulary is absent");
  for (auto _ : state) {
    state.PauseTiming();
    Vocabulary copy = *vocabulary;
    state.ResumeTiming();
    benchmark::DoNotOptimize(Tokenizer::Create(std::move(copy)));
  }
}
BENCHMARK(BM_Create)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth

BENCHMARK_MAIN();
