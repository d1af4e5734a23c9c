#include "engine/engine.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/collecting_sink.h"
#include "tests/tools/editable_gguf.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

std::string TinyModel(const std::string& type = "q8_0") {
  return absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-", type, ".gguf");
}

EngineOptions Tiny() {
  EngineOptions options;
  options.model_path = TinyModel();
  options.kv_tokens = 2048;
  return options;
}

Request Ask(int prompt_tokens, int max_tokens) {
  Request request;
  for (int i = 0; i < prompt_tokens; ++i) request.prompt.push_back(10 + (i * 37) % 500);
  request.max_tokens = max_tokens;
  return request;
}

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = Engine::Load(Tiny());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    engine_ = std::move(*loaded);
  }
  // Figures are published at the end of a round, just after events are delivered.
  void ExpectAllBlocksFree() {
    for (int i = 0; i < 2000 && engine_->stats().blocks_used > 0; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(engine_->stats().blocks_used, 0);
    EXPECT_EQ(engine_->stats().running, 0);
    EXPECT_EQ(engine_->stats().queued, 0);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, DeliversProgressThenTokensThenOneFinish) {
  auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine_->Submit(Ask(70, 9), sink).ok());
  const Finish finish = sink->Wait();
  EXPECT_EQ(finish.reason, FinishReason::kLength);
  EXPECT_TRUE(finish.status.ok());
  EXPECT_EQ(finish.prompt_tokens, 70);
  EXPECT_EQ(finish.completion_tokens, 9);
  EXPECT_EQ(sink->tokens().size(), 9u);
  ASSERT_FALSE(sink->progress().empty());
  EXPECT_EQ(sink->progress().back().computed_tokens, 70);
  ExpectAllBlocksFree();
}

TEST_F(EngineTest, TheContextEndsTheOutput) {
  const int32_t context = engine_->info().max_context;
  auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine_->Submit(Ask(context - 5, 1'000'000), sink).ok());
  const Finish finish = sink->Wait();
  EXPECT_EQ(finish.reason, FinishReason::kLength);
  EXPECT_EQ(finish.completion_tokens, 5);
  ExpectAllBlocksFree();
}

// Each position of the prompt is seen once, in whatever chunks, and the reply is the same.
TEST_F(EngineTest, PromptLogitsAreThoseOfEveryPosition) {
  std::map<RequestId, std::map<int64_t, std::vector<float>>> seen;
  engine_->set_logit_observer([&](RequestId id, int64_t position, absl::Span<const float> logits) {
    EXPECT_TRUE(seen[id].try_emplace(position, logits.begin(), logits.end()).second);
  });
  std::vector<RequestId> ids;
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (const bool prompt_logits : {false, true, true}) {
    Request request = Ask(70, 9);
    request.prompt_logits_from = prompt_logits ? 0 : -1;
    sinks.push_back(std::make_shared<CollectingSink>());
    const auto id = engine_->Submit(request, sinks.back());
    ASSERT_TRUE(id.ok());
    ids.push_back(*id);
    if (ids.size() == 2) sinks[0]->Wait(), sinks[1]->Wait();  // the third could have their prefix
  }
  EXPECT_EQ(sinks[2]->Wait().cached_tokens, 0);
  EXPECT_EQ(seen[ids[0]].size(), 9u);
  EXPECT_EQ(seen[ids[1]].size(), 69u + 9u);
  EXPECT_EQ(seen[ids[1]].begin()->first, 1);
  EXPECT_EQ(seen[ids[2]], seen[ids[1]]);
  for (const auto& [position, logits] : seen[ids[0]]) {
    EXPECT_EQ(seen[ids[1]].at(position), logits) << position;
  }
  EXPECT_EQ(sinks[1]->tokens(), sinks[0]->tokens());
  ExpectAllBlocksFree();
}

TEST_F(EngineTest, RefusesWhatBreaksTheContract) {
  auto sink = std::make_shared<CollectingSink>();
  EXPECT_EQ(engine_->Submit(Ask(0, 5), sink).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->Submit(Ask(5, 0), sink).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->Submit(Ask(engine_->info().max_context, 1), sink).status().code(),
            absl::StatusCode::kInvalidArgument);
  Request foreign = Ask(5, 5);
  foreign.prompt[3] = engine_->info().vocab_size;
  EXPECT_EQ(engine_->Submit(foreign, sink).status().code(), absl::StatusCode::kInvalidArgument);
  foreign.prompt[3] = -1;
  EXPECT_EQ(engine_->Submit(foreign, sink).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, CancelFreesTheBlocksAndEndsWithCancelled) {
  auto sink = std::make_shared<CollectingSink>();
  const auto id = engine_->Submit(Ask(64, 1900), sink);
  ASSERT_TRUE(id.ok());
  sink->WaitForTokens(3);
  engine_->Cancel(*id);
  const Finish finish = sink->Wait();
  EXPECT_EQ(finish.reason, FinishReason::kCancelled);
  EXPECT_TRUE(absl::IsCancelled(finish.status));
  EXPECT_EQ(sink->events_after_finish(), 0);
  ExpectAllBlocksFree();
  EXPECT_EQ(engine_->stats().cancellations, 1u);
}

TEST_F(EngineTest, CancellingOneLeavesAnotherItsTokens) {
  auto alone = std::make_shared<CollectingSink>();
  ASSERT_TRUE(engine_->Submit(Ask(50, 40), alone).ok());
  alone->Wait();
  auto kept = std::make_shared<CollectingSink>();
  auto dropped = std::make_shared<CollectingSink>();
  const auto id = engine_->Submit(Ask(90, 1000), dropped);
  ASSERT_TRUE(engine_->Submit(Ask(50, 40), kept).ok());
  dropped->WaitForTokens(5);
  engine_->Cancel(*id);
  EXPECT_TRUE(kept->Wait().status.ok());
  EXPECT_EQ(kept->tokens(), alone->tokens());
}

TEST_F(EngineTest, DeadlineEndsARunningRequestWithAnError) {
  auto sink = std::make_shared<CollectingSink>();
  Request request = Ask(20, 1900);
  request.deadline = Clock::now() + std::chrono::milliseconds(60);
  ASSERT_TRUE(engine_->Submit(request, sink).ok());
  const Finish finish = sink->Wait();
  EXPECT_EQ(finish.reason, FinishReason::kError);
  EXPECT_TRUE(absl::IsDeadlineExceeded(finish.status)) << finish.status;
  ExpectAllBlocksFree();
}

TEST_F(EngineTest, DestructionEndsEveryRequest) {
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (int i = 0; i < 20; ++i) {
    sinks.push_back(std::make_shared<CollectingSink>());
    ASSERT_TRUE(engine_->Submit(Ask(30 + i, 1500), sinks.back()).ok());
  }
  engine_.reset();
  for (const auto& sink : sinks) EXPECT_FALSE(sink->Wait().status.ok());
}

TEST_F(EngineTest, HeartbeatGrowsWhileIdle) {
  const uint64_t first = engine_->Heartbeat();
  uint64_t later = first;
  for (int i = 0; i < 2000 && later <= first; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
    later = engine_->Heartbeat();
  }
  EXPECT_GT(later, first);
}

TEST_F(EngineTest, SubmitAndCancelFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 10; ++i) {
        auto sink = std::make_shared<CollectingSink>();
        const auto id = engine_->Submit(Ask(10 + 7 * t + i, 12), sink);
        if (!id.ok()) continue;
        if (i % 3 == 0) engine_->Cancel(*id);
        sink->Wait();
        EXPECT_EQ(sink->events_after_finish(), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectAllBlocksFree();
}

// Compiled and kept on callers' threads, followed on the engine's.
TEST_F(EngineTest, ConstraintsFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 6; ++i) {
        const std::string text = absl::StrCat("\"number ", (t + i) % 4, "\"");
        auto constraint =
            engine_->CompileConstraint(JsonSchemaSource{absl::StrCat("{\"const\":", text, "}")});
        ASSERT_TRUE(constraint.ok()) << constraint.status();
        Request request = Ask(10 + t, 30);
        request.constraint = *std::move(constraint);
        auto sink = std::make_shared<CollectingSink>();
        ASSERT_TRUE(engine_->Submit(std::move(request), sink).ok());
        EXPECT_EQ(sink->Wait().reason, FinishReason::kStop);
        EXPECT_EQ(engine_->tokenizer().Decode(sink->tokens()), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectAllBlocksFree();
}

TEST(EngineQueue, FullQueueIsRefused) {
  EngineOptions options = Tiny();
  options.max_running = 1;
  options.max_queued = 2;
  auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  int refused = 0;
  std::vector<std::shared_ptr<CollectingSink>> taken;
  for (int i = 0; i < 10; ++i) {
    sinks.push_back(std::make_shared<CollectingSink>());
    const auto id = (*engine)->Submit(Ask(30, 400), sinks.back());
    if (id.ok()) {
      taken.push_back(sinks.back());
      continue;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(id.status())) << id.status();
    ++refused;
  }
  // Between two rounds of the engine Submit may let some pass that the queue then refuses.
  for (const auto& sink : taken) refused += absl::IsResourceExhausted(sink->Wait().status);
  EXPECT_GE(refused, 6);
}

absl::Status LoadStatus(const std::string& path) {
  EngineOptions options = Tiny();
  options.model_path = path;
  return Engine::Load(options).status();
}

// The file is refused as bad data, by a line that begins with its path.
void ExpectRefused(const EditableGguf& gguf, const std::string& message) {
  const std::string path = gguf.Write("changed.gguf");
  const absl::Status status = LoadStatus(path);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(std::string(status.message()), absl::StrCat(path, ": ", message));
  std::filesystem::remove(path);
}

// A model whose hidden states overflow: whatever is asked of it ends with an error.
TEST(EngineFailures, EndTheirRequestWhateverWasAskedFor) {
  EditableGguf gguf(TinyModel("f32"));
  const std::vector<float> huge(128, std::numeric_limits<float>::max());
  gguf.SetTensor("output_norm.weight", {128}, DType::kF32,
                 {reinterpret_cast<const char*>(huge.data()), huge.size() * sizeof(float)});
  EngineOptions options = Tiny();
  options.model_path = gguf.Write("overflow.gguf");
  auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::filesystem::remove(options.model_path);
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (const Pooling pooling : {Pooling::kNone, Pooling::kMean, Pooling::kLast}) {
    for (const int32_t logits_from : {-1, 0}) {
      for (const int32_t max_tokens : {0, 3}) {
        Request request = Ask(70, max_tokens);
        request.pooling = pooling;
        request.prompt_logits_from = logits_from;
        request.top_logprobs = 1;
        if (pooling == Pooling::kNone && logits_from < 0 && max_tokens == 0) continue;
        sinks.push_back(std::make_shared<CollectingSink>());
        ASSERT_TRUE((*engine)->Submit(request, sinks.back()).ok());
      }
    }
  }
  for (const auto& sink : sinks) {
    const Finish finish = sink->Wait();
    EXPECT_EQ(finish.reason, FinishReason::kError);
    EXPECT_TRUE(absl::IsInternal(finish.status)) << finish.status;
    EXPECT_TRUE(sink->embeddings().empty() && sink->tokens().empty());
  }
}

// With no token drawn, the last row of a prompt foretells nothing; only who observes sees it.
TEST_F(EngineTest, APromptAloneForetellsItsOwnTokens) {
  Request request = Ask(70, 0);
  request.prompt_logits_from = 0;
  request.top_logprobs = 0;
  std::vector<std::vector<PromptTokens>> foretold;
  int64_t last_seen = 0;
  for (const bool observed : {false, true}) {
    if (observed) {
      engine_->set_logit_observer(
          [&](RequestId, int64_t position, absl::Span<const float>) { last_seen = position; });
    }
    auto sink = std::make_shared<CollectingSink>();
    ASSERT_TRUE(engine_->Submit(request, sink).ok());
    ASSERT_TRUE(sink->Wait().status.ok());
    foretold.push_back(sink->prompt_tokens());
  }
  EXPECT_EQ(last_seen, 70);
  for (const std::vector<PromptTokens>& parts : foretold) {
    size_t tokens = 0;
    for (const PromptTokens& part : parts) tokens += part.tokens.size();
    EXPECT_EQ(tokens, 69u);
  }
}

TEST(EngineLoad, M1_PathsThatAreNoFile) {
  EXPECT_TRUE(absl::IsNotFound(LoadStatus("/nonexistent/model.gguf")));
  EXPECT_TRUE(absl::IsInvalidArgument(LoadStatus("/dev/zero")));
  EXPECT_TRUE(absl::IsInvalidArgument(LoadStatus(testing::TempDir())));
}

TEST(EngineLoad, M13_UnknownArchitecture) {
  EditableGguf gguf(TinyModel());
  gguf.RenameArchitecture("phi3", "mamba");
  ExpectRefused(gguf, "architecture mamba, expected one of phi3, llama");
}

TEST(EngineLoad, M14_ExtraTensor) {
  EditableGguf gguf(TinyModel());
  gguf.SetTensor("blk.0.attn_qkv.bias", {256}, DType::kF32);
  ExpectRefused(gguf, "tensor blk.0.attn_qkv.bias: architecture phi3 has none of this name");
}

TEST(EngineLoad, M14_MistypedTensor) {
  EditableGguf gguf(TinyModel());
  gguf.SetTensor("blk.1.ffn_norm.weight", {128}, DType::kQ8_0);
  ExpectRefused(gguf,
                "tensor blk.1.ffn_norm.weight: type Q8_0, expected F32, F16 or BF16 for a vector");
}

TEST(EngineLoad, AnUnchangedCopyLoads) {
  const std::string path = EditableGguf(TinyModel()).Write("copy.gguf");
  EXPECT_TRUE(LoadStatus(path).ok()) << LoadStatus(path);
  std::filesystem::remove(path);
}

TEST(EngineLoad, TruncatedFileIsDataLoss) {
  const std::string path = testing::TempDir() + "/truncated.gguf";
  std::filesystem::copy_file(TinyModel(), path, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1000);
  EngineOptions options = Tiny();
  options.model_path = path;
  const absl::Status status = Engine::Load(options).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  std::filesystem::remove(path);
}

TEST(EngineLoad, InspectListsTheFile) {
  const auto listing = InspectModel(TinyModel());
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_THAT(listing->format, HasSubstr("GGUF"));
  EXPECT_GT(listing->metadata.size(), 20u);
  EXPECT_GT(listing->tensors.size(), 20u);
}

}  // namespace
}  // namespace hearth
