// Promise 1: a reply is a function of the request and the model file alone. One request's logits
// are hashed under every circumstance the engine can produce; all hashes must be equal.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/emulated.h"
#include "tests/fakes/collecting_sink.h"

namespace hearth {
namespace {

// FNV-1a over the raw bytes of every logits row of a request.
class LogitHashes {
 public:
  Engine::LogitObserver Observer() {
    return [this](RequestId id, int64_t position, absl::Span<const float> logits) {
      const std::lock_guard lock(mutex_);
      uint64_t& hash = hashes_.try_emplace(id, 0xcbf29ce484222325u).first->second;
      const auto mix = [&hash](const void* data, size_t size) {
        for (size_t i = 0; i < size; ++i) {
          hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
        }
      };
      mix(&position, sizeof(position));
      mix(logits.data(), logits.size() * sizeof(float));
    };
  }
  uint64_t of(RequestId id) {
    const std::lock_guard lock(mutex_);
    return hashes_.at(id);
  }

 private:
  std::mutex mutex_;
  std::map<RequestId, uint64_t> hashes_;
};

struct Case {
  const char* type;
  KvType kv_type;
  int prompt_tokens;  // with max_tokens on either side of the LongRoPE switch at 256
  uint64_t hash;      // of the probe's logits
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.type << " " << c.prompt_tokens; }

class SameBits : public testing::TestWithParam<Case> {
 protected:
  static EngineOptions Options() {
    EngineOptions options;
    options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-", GetParam().type, ".gguf");
    options.kv_type = GetParam().kv_type;
    options.kv_tokens = 16384;
    options.max_context = 1024;
    return options;
  }

  // A prompt that looks like nothing in particular and differs by seed.
  static Request MakeRequest(int length, uint32_t seed, int max_tokens) {
    Request request;
    uint32_t x = seed * 2654435761u + 1;
    for (int i = 0; i < length; ++i) {
      x = x * 1664525u + 1013904223u;
      request.prompt.push_back(static_cast<TokenId>((x >> 8) % 900));
    }
    request.max_tokens = max_tokens;
    request.sampling.temperature = 0.8f;
    request.sampling.seed = 7;
    return request;
  }
  static Request Probe(int max_tokens = 24) {
    return MakeRequest(GetParam().prompt_tokens, 1, max_tokens);
  }

  struct Outcome {
    uint64_t hash;
    std::vector<TokenId> tokens;
    bool operator==(const Outcome&) const = default;
  };

  // Runs the probe among `others` other requests.
  static Outcome Run(const EngineOptions& options, int others = 0, const Request& probe = Probe()) {
    LogitHashes hashes;
    auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    (*engine)->set_logit_observer(hashes.Observer());
    std::vector<std::shared_ptr<CollectingSink>> sinks;
    for (int i = 0; i < others; ++i) {
      sinks.push_back(std::make_shared<CollectingSink>());
      EXPECT_TRUE((*engine)->Submit(MakeRequest(40 + 13 * i, 100 + i, 30), sinks.back()).ok());
    }
    auto sink = std::make_shared<CollectingSink>();
    const auto id = (*engine)->Submit(probe, sink);
    EXPECT_TRUE(id.ok()) << id.status();
    EXPECT_TRUE(sink->Wait().status.ok());
    for (const auto& other : sinks) EXPECT_TRUE(other->Wait().status.ok());
    const Outcome outcome{hashes.of(*id), sink->tokens()};
    engine->reset();  // joins the engine thread, after which the stats are final
    return outcome;
  }
};

// The hash stands in the source, so that every CPU is held to the same one. It changes when the
// arithmetic is changed on purpose, and is then written anew.
TEST_P(SameBits, OnEveryCpuAndInstructionSet) {
  for (std::string_view isa : kernels::SupportedIsas()) {
    EngineOptions options = Options();
    options.isa = isa;
    EXPECT_EQ(absl::StrCat(absl::Hex(Run(options).hash)), absl::StrCat(absl::Hex(GetParam().hash)))
        << isa;
  }
}

// Of what the tests below are about, that is all that depends on the CPU.
constexpr char kTooSlow[] = "left to CPUs that are not emulated";

TEST_P(SameBits, AmongOthersInAnyChunksOnAnyThreadsAndInstructionSet) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  const EngineOptions base = Options();
  const Outcome alone = Run(base);
  ASSERT_FALSE(alone.tokens.empty());

  for (int others : {1, 15}) EXPECT_EQ(Run(base, others), alone) << others << " others";
  for (int chunk : {1, 16, 17, 64}) {
    EngineOptions options = base;
    options.max_chunk = chunk;
    EXPECT_EQ(Run(options, 3), alone) << "chunks of " << chunk;
  }
  for (int threads : {1, 2, 3, 5}) {
    EngineOptions options = base;
    options.threads = threads;
    EXPECT_EQ(Run(options, 3), alone) << threads << " threads";
  }
  for (std::string_view isa : kernels::SupportedIsas()) {
    EngineOptions options = base;
    options.isa = isa;
    EXPECT_EQ(Run(options, 3), alone) << isa;
  }
  EngineOptions uncached = base;
  uncached.prefix_cache = false;
  EXPECT_EQ(Run(uncached, 3), alone) << "no prefix cache";
}

TEST_P(SameBits, WithAWarmPrefixCache) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  LogitHashes hashes;
  auto engine = Engine::Load(Options());
  ASSERT_TRUE(engine.ok()) << engine.status();
  (*engine)->set_logit_observer(hashes.Observer());
  std::vector<Outcome> outcomes;
  std::vector<int32_t> cached;
  for (int i = 0; i < 3; ++i) {
    if (i == 2) (*engine)->FlushPrefixCache();
    auto sink = std::make_shared<CollectingSink>();
    const auto id = (*engine)->Submit(Probe(), sink);
    ASSERT_TRUE(id.ok());
    const Finish finish = sink->Wait();
    ASSERT_TRUE(finish.status.ok()) << finish.status;
    cached.push_back(finish.cached_tokens);
    outcomes.push_back({hashes.of(*id), sink->tokens()});
  }
  EXPECT_EQ(cached[0], 0);
  EXPECT_GE(cached[1], GetParam().prompt_tokens / 32 * 32 - 32);
  EXPECT_EQ(cached[2], 0) << "the flush forgets";
  EXPECT_EQ(outcomes[1], outcomes[0]);
  EXPECT_EQ(outcomes[2], outcomes[0]);
}

// The blocks suffice for either of two requests, and to start both. The one that came first is
// never preempted, so what is preempted is the probe. It may miss a quick other, and tries again.
TEST_P(SameBits, AfterPreemption) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  const Request probe = Probe(100);
  const Outcome alone = Run(Options(), 0, probe);
  EngineOptions small = Options();
  small.kv_tokens = (GetParam().prompt_tokens + 31) / 32 * 32 + 3 * 32;
  small.max_context = small.kv_tokens;
  LogitHashes hashes;
  auto engine = Engine::Load(small);
  ASSERT_TRUE(engine.ok()) << engine.status();
  (*engine)->set_logit_observer(hashes.Observer());
  for (int i = 0; i < 50 && (*engine)->stats().preemptions == 0; ++i) {
    auto other = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*engine)->Submit(MakeRequest(20, 50, 150), other).ok());
    auto sink = std::make_shared<CollectingSink>();
    const auto id = (*engine)->Submit(probe, sink);
    ASSERT_TRUE(id.ok());
    ASSERT_TRUE(sink->Wait().status.ok());
    ASSERT_TRUE(other->Wait().status.ok());
    EXPECT_EQ((Outcome{hashes.of(*id), sink->tokens()}), alone);
  }
  EXPECT_GT((*engine)->stats().tokens_recomputed, 0u);
}

// What is asked of the prompt: every log-probability and every element of the pooled state.
struct OfThePrompt {
  std::vector<float> logprobs;
  std::vector<std::vector<float>> embeddings;
  bool operator==(const OfThePrompt&) const = default;
};

class SameBitsOfThePrompt : public SameBits {
 protected:
  static Request Asking(Pooling pooling, int from = 1) {
    Request request = Probe(0);
    request.prompt_logits_from = from;
    request.top_logprobs = 2;
    request.pooling = pooling;
    return request;
  }

  static OfThePrompt Collect(const CollectingSink& sink) {
    OfThePrompt result{{}, sink.embeddings()};
    for (const PromptTokens& step : sink.prompt_tokens()) {
      for (const Token& token : step.tokens) {
        result.logprobs.push_back(token.logprob.logprob);
        for (const TokenLogprob& entry : token.top) result.logprobs.push_back(entry.logprob);
      }
    }
    return result;
  }

  static OfThePrompt RunAmong(const EngineOptions& options, int others, const Request& probe) {
    auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    std::vector<std::shared_ptr<CollectingSink>> sinks;
    for (int i = 0; i < others; ++i) {
      sinks.push_back(std::make_shared<CollectingSink>());
      EXPECT_TRUE((*engine)->Submit(MakeRequest(40 + 13 * i, 100 + i, 30), sinks.back()).ok());
    }
    auto sink = std::make_shared<CollectingSink>();
    EXPECT_TRUE((*engine)->Submit(probe, sink).ok());
    EXPECT_TRUE(sink->Wait().status.ok());
    for (const auto& other : sinks) EXPECT_TRUE(other->Wait().status.ok());
    return Collect(*sink);
  }
};

TEST_P(SameBitsOfThePrompt, AmongOthersInAnyChunksOnAnyThreadsAndInstructionSet) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  const EngineOptions base = Options();
  const Request probe = Asking(Pooling::kMean);
  const OfThePrompt alone = RunAmong(base, 0, probe);
  ASSERT_EQ(alone.logprobs.size(), 3u * (GetParam().prompt_tokens - 1));
  ASSERT_EQ(alone.embeddings.size(), 1u);
  EXPECT_EQ(RunAmong(base, 15, probe), alone) << "15 others";
  for (int chunk : {1, 17}) {
    EngineOptions options = base;
    options.max_chunk = chunk;
    EXPECT_EQ(RunAmong(options, 3, probe), alone) << "chunks of " << chunk;
  }
  EngineOptions many = base;
  many.threads = 3;
  many.max_logit_rows = 64;
  EXPECT_EQ(RunAmong(many, 3, probe), alone) << "3 threads, 64 rows at once";
  for (std::string_view isa : kernels::SupportedIsas()) {
    EngineOptions options = base;
    options.isa = isa;
    EXPECT_EQ(RunAmong(options, 0, probe), alone) << isa;
  }
}

TEST_P(SameBitsOfThePrompt, WithAWarmPrefixCache) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  const int from = GetParam().prompt_tokens - 10;
  auto engine = Engine::Load(Options());
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::vector<OfThePrompt> results;
  std::vector<int32_t> cached;
  for (const Pooling pooling : {Pooling::kLast, Pooling::kLast, Pooling::kMean}) {
    auto sink = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*engine)->Submit(Asking(pooling, from), sink).ok());
    cached.push_back(sink->Wait().cached_tokens);
    results.push_back(Collect(*sink));
  }
  EXPECT_EQ(results[0].logprobs.size(), 3u * 10);
  EXPECT_EQ(cached[0], 0);
  EXPECT_EQ(cached[1], (from - 1) / 32 * 32) << "up to what foretells the first that is wanted";
  EXPECT_EQ(cached[2], 0) << "a mean needs every token";
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2].logprobs, results[0].logprobs);
  const OfThePrompt whole = RunAmong(Options(), 0, Asking(Pooling::kLast));
  EXPECT_TRUE(std::equal(results[0].logprobs.rbegin(), results[0].logprobs.rend(),
                         whole.logprobs.rbegin()));
  EXPECT_EQ(results[0].embeddings, whole.embeddings);
}

// The other came first and grows until the probe, in the middle of its prompt, has to yield.
TEST_P(SameBitsOfThePrompt, AfterPreemption) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  const Request probe = Asking(Pooling::kMean);
  const OfThePrompt alone = RunAmong(Options(), 0, probe);
  EngineOptions small = Options();
  small.kv_tokens = (GetParam().prompt_tokens + 31) / 32 * 32 + 3 * 32;
  small.max_context = small.kv_tokens;
  small.max_chunk = GetParam().prompt_tokens / 100;
  auto engine = Engine::Load(small);
  ASSERT_TRUE(engine.ok()) << engine.status();
  for (int i = 0; i < 50 && (*engine)->stats().preemptions == 0; ++i) {
    auto other = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*engine)->Submit(MakeRequest(20, 50, 150), other).ok());
    other->WaitForTokens(1);
    auto sink = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*engine)->Submit(probe, sink).ok());
    ASSERT_TRUE(sink->Wait().status.ok());
    ASSERT_TRUE(other->Wait().status.ok());
    EXPECT_EQ(Collect(*sink), alone);
  }
  EXPECT_GT((*engine)->stats().preemptions, 0u);
}

// The RoPE regime follows what was asked for, not how much of it this machine has room for.
TEST_P(SameBits, WithAShorterContext) {
  if (kEmulated) GTEST_SKIP() << kTooSlow;
  EngineOptions small = Options();
  small.max_context = GetParam().prompt_tokens + 40;
  const Request probe = Probe(400);
  const Outcome whole = Run(Options(), 0, probe);
  const Outcome cut = Run(small, 0, probe);
  ASSERT_EQ(cut.tokens.size(), 40u);
  EXPECT_TRUE(std::equal(cut.tokens.begin(), cut.tokens.end(), whole.tokens.begin()));
}

// A restart that reads the packed weights from the file that the first start wrote.
TEST_P(SameBits, ThroughTheFileOfPackedWeights) {
  const std::string folder =
      absl::StrCat(testing::TempDir(), "same-bits-", getpid(), "-", GetParam().type);
  const Outcome packed = Run(Options());
  EngineOptions options = Options();
  options.cache_directory = folder;
  std::promise<std::string> saved;
  options.log = [&](absl::LogSeverity, const std::string& line) { saved.set_value(line); };
  {
    const auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_FALSE((*engine)->info().weights_from_cache);
    EXPECT_THAT(saved.get_future().get(), testing::HasSubstr("written"));
  }
  EXPECT_EQ(Run(options, 3), packed);
  {
    const auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_TRUE((*engine)->info().weights_from_cache);
  }
  std::filesystem::remove_all(folder);
}

// Where these hashes change, so does kArithmeticRevision (engine/arithmetic.h).
std::vector<Case> Cases() {
#ifdef __SANITIZE_THREAD__  // the threads do the same whatever the type
  return {{"q8_0", KvType::kInt8, 100, 0xa6abdbf97239532e}};
#endif
  return {{"f32", KvType::kF32, 100, 0xe325298db0f3fbc9},
          {"f16", KvType::kF16, 100, 0x9a3eb574b5c77d37},
          {"bf16", KvType::kInt8, 100, 0x8ffcbac6c03891f6},
          {"q8_0", KvType::kInt8, 100, 0xa6abdbf97239532e},
          {"q8_0", KvType::kF16, 300, 0x20dc5cde819b708b},
          {"q4_0", KvType::kInt8, 100, 0x5ae9b92a104a07d3},
          {"q4_0", KvType::kInt8, 300, 0xe058a775826c1785},
          {"q4_k", KvType::kInt8, 100, 0xb6a879b0c3e8a852},
          {"q6_k", KvType::kF16, 100, 0x6f568c8deb48f253}};
}

std::string CaseName(const testing::TestParamInfo<Case>& test) {
  return absl::StrCat(test.param.type, "_", std::string(Name(test.param.kv_type)), "_",
                      test.param.prompt_tokens);
}

INSTANTIATE_TEST_SUITE_P(Formats, SameBits, testing::ValuesIn(Cases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Formats, SameBitsOfThePrompt, testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace hearth
