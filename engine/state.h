// The Engine's insides, shared by the files that implement it. Included by no one else.
#ifndef HEARTH_ENGINE_STATE_H_
#define HEARTH_ENGINE_STATE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/cache/kv_store.h"
#include "engine/constrain/constraint_cache.h"
#include "engine/constrain/matcher.h"
#include "engine/constrain/token_masks.h"
#include "engine/constrain/token_trie.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "engine/models/model.h"
#include "engine/models/weight_cache.h"
#include "engine/ops/workers.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/forecast.h"
#include "engine/scheduler/scheduler.h"

namespace hearth {

// The inbox is the border between callers and the engine thread. What is under no mutex belongs to
// the engine thread, or never changes after Load.
struct Engine::State {
  struct Submission {
    std::unique_ptr<Sequence> sequence;  // ends under `planning`
    std::shared_ptr<EventSink> sink;
  };
  struct Live {
    std::shared_ptr<EventSink> sink;
    std::unique_ptr<Sampler> sampler;
    std::unique_ptr<Matcher> matcher;  // where there is a constraint
    std::vector<float> pooled;         // sum of the hidden states so far
  };
  using LiveMap = absl::flat_hash_map<RequestId, Live>;
  // What a row of logits is computed for.
  struct LogitRow {
    const BatchEntry* entry;
    int64_t position;  // of the token that it foretells
    bool draws;
  };
  using TokenMask = absl::Span<const uint64_t>;  // as of Sampler::Draw; empty: any token
  struct Failure {
    RequestId request;
    absl::Status status;
  };

  State(ModelInfo model_info, const EngineOptions& engine_options, const SchedulerOptions& s)
      : info(std::move(model_info)),
        options(engine_options),
        scheduler(s),
        cost(engine_options.max_batch_tokens) {}

  // engine.cc, on callers' threads: checks a request and fills in what is derived.
  absl::Status Prepare(Request& request) const;
  StepLimits Limits() const;

  // step.cc, on the engine thread.
  void Run();
  bool TakeInbox();
  void Step();
  void StartDrawing(RequestId id);
  void Pool(const Batch& batch);
  std::vector<Drawn> ReadLogits(const Batch& batch);
  absl::StatusOr<TokenMask> FillMask(const LogitRow& row, MaskWords& words);
  Drawn ReadRow(const LogitRow& row, absl::Span<float> logits, TokenMask mask);
  Drawn DrawOne(const LogitRow& row, absl::Span<float> logits, TokenMask mask);
  std::vector<Drawn> TakeDrawn(const std::vector<LogitRow>& rows, std::vector<Drawn> read);
  void Deliver();
  void End(LiveMap::iterator it, const Event& finish);

  ModelInfo info;  // complete once loaded
  const EngineOptions options;
  KvType kv_type = KvType::kInt8;
  int32_t original_context = 0;  // 0: one RoPE regime
  int32_t max_logit_rows = 0;
  int32_t hidden = 0;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<const TokenTrie> token_trie;
  LogitObserver observer;
  std::atomic<RequestId> next_id = 1;
  ConstraintCache constraints{kConstraintBytes};

  // Engine thread.
  std::unique_ptr<ops::Workers> workers;
  std::unique_ptr<Model> model;
  std::optional<WeightCache> weight_cache;  // ends before the model, whose weights it saves
  std::optional<KvStore> kv;
  std::optional<TokenMasks> token_masks;
  std::vector<MaskWords> row_masks;  // of the rows that are computed at once
  LiveMap live;
  // What could not be read of the current step. The scheduler is told when all is read: a request
  // is there for as long as its batch is looked at.
  std::vector<Failure> failures;

  // Guards what follows, for moments only, so that whoever asks need not wait for a step: prompts
  // are hashed and steps forecast without it. Others look, unpin and flush; all else is the engine
  // thread's.
  mutable std::mutex planning;
  Scheduler scheduler;
  CostModel cost;

  // Guards what follows; `changed` tells the engine thread. Taken after `planning`, never before.
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Submission> submissions;
  std::vector<RequestId> cancels;
  bool poked = false;
  bool stopping = false;
  int32_t unfinished = 0;  // accepted, and their Finish not yet on its way
  uint64_t rounds = 0;

  std::thread thread;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_STATE_H_
