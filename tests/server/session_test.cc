// Sessions on a real engine with a small random model.
#include "server/session.h"

#include <chrono>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

v1::Config TinyConfig() {
  v1::Config config;
  config.set_model(absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q8_0.gguf"));
  config.mutable_engine()->set_kv_tokens(2048);
  return ResolveDefaults(config);
}

class SessionTest : public testing::Test {
 protected:
  explicit SessionTest(v1::Config config = TinyConfig()) : daemon_(config, ApiKeys()) {}

  void SetUp() override {
    EngineOptions options;
    options.model_path = daemon_.config().model();
    options.kv_tokens = 2048;
    auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    daemon_.Serve(std::move(*engine));
  }

  static GenerationRequest Chat(std::string text) {
    GenerationRequest request;
    request.prompts = {std::vector<Message>{{Role::kUser, std::move(text)}}};
    request.names.prompt = "messages";
    request.max_tokens = 12;
    request.seed = 5;
    return request;
  }

  // One that no stop token ends.
  GenerationRequest LongChat(std::string text, int max_tokens) {
    GenerationRequest request = Chat(std::move(text));
    request.max_tokens = max_tokens;
    for (TokenId stop : daemon_.engine().tokenizer().stop_tokens()) {
      request.logit_bias.push_back({stop, -100});
    }
    return request;
  }

  struct Collected {
    std::vector<std::string> texts;
    std::vector<std::vector<TokenId>> tokens;
    std::vector<EndReason> ends;
    Usage usage;
    absl::Status status;
  };
  static Collected Collect(Session& session) {
    Collected all;
    all.texts.resize(session.choices());
    all.tokens.resize(session.choices());
    all.ends.resize(session.choices());
    while (true) {
      absl::StatusOr<std::optional<Output>> next = session.Next(absl::Seconds(30));
      if (!next.ok()) {
        all.status = next.status();
        return all;
      }
      if (!next->has_value()) {
        all.status = absl::DeadlineExceededError("no output for 30 s");
        return all;
      }
      const Output& output = **next;
      if (const auto* delta = std::get_if<Delta>(&output)) {
        all.texts[delta->index] += delta->text;
        auto& ids = all.tokens[delta->index];
        for (const OutputToken& token : delta->tokens) ids.push_back(token.id);
      } else if (const auto* end = std::get_if<ChoiceEnd>(&output)) {
        all.ends[end->index] = end->reason;
      } else if (const auto* usage = std::get_if<Usage>(&output)) {
        all.usage = *usage;
        return all;
      }
    }
  }
  Collected Run(GenerationRequest request) {
    absl::StatusOr<std::shared_ptr<Session>> session = Session::Start(daemon_, std::move(request));
    EXPECT_TRUE(session.ok()) << session.status();
    return Collect(**session);
  }
  void ExpectParam(const GenerationRequest& request, const std::string& param,
                   const std::string& code = "") {
    const auto session = Session::Start(daemon_, request);
    ASSERT_FALSE(session.ok()) << "accepted a bad " << param;
    const HttpError error = ToHttpError(session.status());
    EXPECT_EQ(error.http_status, 400) << session.status();
    EXPECT_EQ(error.param, param) << session.status();
    EXPECT_EQ(error.code, code) << session.status();
  }
  void ExpectAllFree() {
    for (int i = 0; i < 3000; ++i) {
      const EngineStats stats = daemon_.engine().stats();
      if (stats.blocks_used == 0 && stats.running == 0 && stats.queued == 0) return;
      absl::SleepFor(absl::Milliseconds(1));
    }
    FAIL() << "blocks are still used";
  }

  Daemon daemon_;
};

TEST_F(SessionTest, TextIsTheTokensDecoded) {
  const Collected all = Run(Chat("What is the temperature?"));
  ASSERT_TRUE(all.status.ok()) << all.status;
  EXPECT_EQ(all.usage.completion_tokens, 12);
  EXPECT_EQ(all.ends[0], EndReason::kLength);
  EXPECT_EQ(all.tokens[0].size(), 12u);
  StreamDecoder decoder(daemon_.engine().tokenizer());
  std::string text;
  for (TokenId id : all.tokens[0]) text += decoder.Push(id);
  EXPECT_EQ(all.texts[0], text + decoder.Flush());
}

TEST_F(SessionTest, SameSeedSameTokensOtherSeedOthers) {
  const Collected first = Run(Chat("a"));
  EXPECT_EQ(Run(Chat("a")).tokens, first.tokens);
  GenerationRequest other = Chat("a");
  other.seed = 6;
  EXPECT_NE(Run(other).tokens, first.tokens);
}

TEST_F(SessionTest, ChoicesDifferAndTheFirstIsTheOneAskedAlone) {
  GenerationRequest request = Chat("several");
  const Collected one = Run(request);
  request.n = 3;
  const Collected three = Run(request);
  ASSERT_EQ(three.tokens.size(), 3u);
  EXPECT_EQ(three.tokens[0], one.tokens[0]);
  EXPECT_NE(three.tokens[1], three.tokens[0]);
  EXPECT_NE(three.tokens[2], three.tokens[1]);
  EXPECT_EQ(three.usage.completion_tokens, 36);
  EXPECT_EQ(three.usage.prompt_tokens, one.usage.prompt_tokens);
}

TEST_F(SessionTest, P23_StopStringEndsTheTextBeforeIt) {
  GenerationRequest request = Chat("stop somewhere");
  request.max_tokens = 60;
  const Collected whole = Run(request);
  ASSERT_GT(whole.texts[0].size(), 8u);
  const std::string stop = whole.texts[0].substr(whole.texts[0].size() / 2, 3);
  request.stop = {stop};
  const Collected cut = Run(request);
  ASSERT_TRUE(cut.status.ok()) << cut.status;
  EXPECT_EQ(cut.texts[0], whole.texts[0].substr(0, whole.texts[0].find(stop)));
  EXPECT_EQ(cut.ends[0], EndReason::kStop);
  EXPECT_LT(cut.usage.completion_tokens, whole.usage.completion_tokens);
  ExpectAllFree();
}

TEST_F(SessionTest, SecondTimeThePromptIsCached) {
  GenerationRequest request = Chat(std::string(400, 'x') + " and more words to fill blocks");
  const Collected cold = Run(request);
  const Collected warm = Run(request);
  EXPECT_EQ(cold.usage.cached_tokens, 0);
  EXPECT_GT(warm.usage.cached_tokens, 0);
  EXPECT_EQ(warm.tokens, cold.tokens);
}

TEST_F(SessionTest, ClientsDoNotSeeEachOthersCachedPrompts) {
  GenerationRequest request = Chat(std::string(400, 'z') + " what only one of them has asked");
  request.client = "alice";
  EXPECT_EQ(Run(request).usage.cached_tokens, 0);
  request.client = "bob";
  EXPECT_EQ(Run(request).usage.cached_tokens, 0);
  request.client = "alice";
  EXPECT_GT(Run(request).usage.cached_tokens, 0);
}

TEST_F(SessionTest, P3_P7_P9_P13_P15_P17_P18_P19_P20_P22_P24_RangesAreRefusedByName) {
  struct Case {
    const char* param;
    void (*set)(GenerationRequest&);
  };
  const Case cases[] = {
      {"n", [](GenerationRequest& r) { r.n = 0; }},
      {"n", [](GenerationRequest& r) { r.n = 5; }},
      {"n", [](GenerationRequest& r) { r.n = 4294967297; }},
      {"max_tokens", [](GenerationRequest& r) { r.max_tokens = 0; }},
      {"max_tokens", [](GenerationRequest& r) { r.max_tokens = -1; }},
      {"max_tokens", [](GenerationRequest& r) { r.max_tokens = 4294967297; }},
      {"temperature", [](GenerationRequest& r) { r.temperature = -0.1; }},
      {"temperature", [](GenerationRequest& r) { r.temperature = 2.1; }},
      {"temperature", [](GenerationRequest& r) { r.temperature = 1e308; }},
      {"temperature",
       [](GenerationRequest& r) { r.temperature = std::numeric_limits<double>::quiet_NaN(); }},
      {"top_p", [](GenerationRequest& r) { r.top_p = 0; }},
      {"top_p", [](GenerationRequest& r) { r.top_p = 1e-60; }},
      {"top_p", [](GenerationRequest& r) { r.top_p = 1.01; }},
      {"top_k", [](GenerationRequest& r) { r.top_k = -2; }},
      {"top_k", [](GenerationRequest& r) { r.top_k = int64_t{1} << 40; }},
      {"min_p", [](GenerationRequest& r) { r.min_p = 2; }},
      {"repetition_penalty", [](GenerationRequest& r) { r.repetition_penalty = 0; }},
      {"frequency_penalty", [](GenerationRequest& r) { r.frequency_penalty = 2.01; }},
      {"presence_penalty", [](GenerationRequest& r) { r.presence_penalty = -2.01; }},
      {"logit_bias",
       [](GenerationRequest& r) {
         r.logit_bias = {{-1, 0}};
       }},
      {"logit_bias",
       [](GenerationRequest& r) {
         r.logit_bias = {{1'000'000'000, 0}};
       }},
      {"logit_bias",
       [](GenerationRequest& r) {
         r.logit_bias = {{1, 101}};
       }},
      {"logit_bias", [](GenerationRequest& r) { r.logit_bias.resize(10'000); }},
      {"stop",
       [](GenerationRequest& r) {
         r.stop = {"a", "b", "c", "d", "e"};
       }},
      {"stop", [](GenerationRequest& r) { r.stop = {""}; }},
      {"stop", [](GenerationRequest& r) { r.stop = {std::string(10'240, 'x')}; }},
      {"messages", [](GenerationRequest& r) { r.prompts = {std::vector<Message>()}; }},
      {"messages", [](GenerationRequest& r) { r.prompts = {std::vector<Message>(10'001)}; }},
      {"messages",
       [](GenerationRequest& r) {
         r.prompts = {std::vector<int64_t>{1, -1}};
       }},
      {"messages",
       [](GenerationRequest& r) {
         r.prompts = {std::vector<int64_t>{1, 1 << 30}};
       }},
      {"messages", [](GenerationRequest& r) { r.prompts = {std::vector<int64_t>{}}; }},
  };
  for (const Case& bad : cases) {
    GenerationRequest request = Chat("x");
    bad.set(request);
    ExpectParam(request, bad.param);
  }
  ExpectAllFree();
}

TEST_F(SessionTest, P11_P12_ContextOverflowIsAnErrorNeverAShorterAnswer) {
  GenerationRequest request = Chat(std::string(20'000, 'y'));
  request.max_tokens.reset();
  ExpectParam(request, "messages", "context_length_exceeded");
  request = Chat("short");
  request.max_tokens = 2048;
  ExpectParam(request, "max_tokens", "context_length_exceeded");
}

TEST_F(SessionTest, P2_UnknownModelIsNotFound) {
  GenerationRequest request = Chat("x");
  request.model = "../../etc/passwd";
  const HttpError error = ToHttpError(Session::Start(daemon_, request).status());
  EXPECT_EQ(error.http_status, 404);
  EXPECT_EQ(error.param, "model");
  EXPECT_EQ(error.code, "model_not_found");
  EXPECT_EQ(error.message.find("passwd"), std::string::npos);
}

TEST_F(SessionTest, CancelFreesAndReportsWhy) {
  GenerationRequest request = LongChat("long", 1500);
  auto session = Session::Start(daemon_, request);
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE((*session)->Next(absl::Seconds(10)).ok());
  (*session)->Cancel(absl::CancelledError("gone"));
  absl::Status end;
  while (end.ok()) end = (*session)->Next(absl::Seconds(10)).status();
  EXPECT_TRUE(absl::IsCancelled(end));
  ExpectAllFree();
}

TEST_F(SessionTest, DroppingASessionFreesIt) {
  GenerationRequest request = LongChat("dropped", 1500);
  request.n = 4;
  {
    auto session = Session::Start(daemon_, request);
    ASSERT_TRUE(session.ok());
    EXPECT_EQ(daemon_.live_tasks(), 1);
  }
  ExpectAllFree();
  EXPECT_EQ(daemon_.live_tasks(), 0);
}

// A cancel that comes between two submissions reaches those after it too.
TEST_F(SessionTest, CancelWhileItSubmitsFreesEverything) {
  GenerationRequest request = LongChat("many", 1500);
  request.prompts.resize(20, request.prompts.front());
  request.n = 4;
  std::thread starter([&] {
    const auto session = Session::Start(daemon_, request);
    if (!session.ok()) return;  // the daemon drained before there was anything
    EXPECT_TRUE(absl::IsUnavailable(Collect(**session).status));
    ExpectAllFree();
  });
  while (daemon_.live_tasks() == 0) std::this_thread::yield();
  daemon_.Drain(absl::ZeroDuration());
  starter.join();
}

TEST_F(SessionTest, MoreChoicesThanTheEngineTakesAreRefused) {
  GenerationRequest request = Chat("x");
  request.prompts.resize(21, request.prompts.front());
  request.n = 4;
  ExpectParam(request, "messages");
  request.prompts.pop_back();
  EXPECT_TRUE(Run(request).status.ok());
}

TEST_F(SessionTest, NotifyWhenReadyComesOnceForEachAsking) {
  auto session = Session::Start(daemon_, Chat("notify"));
  ASSERT_TRUE(session.ok());
  int outputs = 0;
  bool done = false;
  while (!done) {
    std::counting_semaphore<> ready(0);
    (*session)->NotifyWhenReady([&] { ready.release(); });
    ASSERT_TRUE(ready.try_acquire_for(std::chrono::seconds(20)));
    while (true) {
      auto next = (*session)->Next(absl::ZeroDuration());
      ASSERT_TRUE(next.ok()) << next.status();
      if (!next->has_value()) break;
      ++outputs;
      done = std::holds_alternative<Usage>(**next);
      if (done) break;
    }
    EXPECT_FALSE(ready.try_acquire());
  }
  EXPECT_GE(outputs, 13);
}

TEST_F(SessionTest, DrainLetsShortOnesFinishAndEndsTheRest) {
  GenerationRequest request = LongChat("drain", 1800);
  auto session = Session::Start(daemon_, request);
  ASSERT_TRUE(session.ok());
  std::thread reader([&] {
    const Collected all = Collect(**session);
    EXPECT_TRUE(absl::IsUnavailable(all.status)) << all.status;
    session->reset();
  });
  daemon_.Drain(absl::Milliseconds(50));
  reader.join();
  EXPECT_EQ(daemon_.live_tasks(), 0);
  const HttpError refused = ToHttpError(Session::Start(daemon_, Chat("late")).status());
  EXPECT_EQ(refused.http_status, 503);
  EXPECT_EQ(refused.code, "draining");
}

class SlowReader : public SessionTest {
 protected:
  SlowReader()
      : SessionTest([] {
          v1::Config config = TinyConfig();
          config.mutable_limits()->set_stream_buffer_bytes(4096);
          return config;
        }()) {}
};

TEST_F(SlowReader, S3_AReaderThatNeverReadsLosesItsGenerationOnly) {
  GenerationRequest request = LongChat("slow", 1500);
  auto slow = Session::Start(daemon_, request);
  ASSERT_TRUE(slow.ok());
  const Collected quick = Run(Chat("quick"));
  EXPECT_TRUE(quick.status.ok());
  ExpectAllFree();
  absl::Status end;
  while (end.ok()) end = (*slow)->Next(absl::Seconds(10)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(end)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("too slowly"));
}

TEST(DaemonPhases, LoadingRefusesWithRetryAfter) {
  Daemon daemon(TinyConfig(), ApiKeys());
  const auto session = Session::Start(daemon, GenerationRequest());
  const HttpError error = ToHttpError(session.status());
  EXPECT_EQ(error.http_status, 503);
  EXPECT_EQ(error.code, "loading");
  EXPECT_GT(error.retry_after_seconds, 0);
}

}  // namespace
}  // namespace hearth::server
