#include "engine/engine.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/cache/kv_store.h"
#include "engine/check.h"
#include "engine/constrain/constraint_cache.h"
#include "engine/constrain/matcher.h"
#include "engine/constrain/token_masks.h"
#include "engine/constrain/token_trie.h"
#include "engine/formats/checkpoint.h"
#include "engine/memory_plan.h"
#include "engine/mix.h"
#include "engine/models/model.h"
#include "engine/ops/workers.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/scheduler.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// A step while no stream waits for its next token: cancels, deadlines and the watchdog wait for its
// end, on slow machines too. Much shorter ones would spend themselves on reading weights.
constexpr std::chrono::milliseconds kPrefillStep{1000};

// Blocks are shared only between requests for which their contents are the same bits.
uint64_t PrefixSeed(const ModelInfo& info, KvType kv, RopeRegime regime, uint64_t salt) {
  uint64_t seed = Mix(info.fingerprint);
  seed = Mix(seed ^ static_cast<uint64_t>(kv));
  seed = Mix(seed ^ (static_cast<uint64_t>(regime) << 8));
  return Mix(seed ^ salt);
}

ModelInfo Describe(const Checkpoint& checkpoint, const Sizes& sizes, const EngineOptions& options,
                   const ops::Workers& workers) {
  ModelInfo info;
  info.name = checkpoint.name;
  info.architecture = checkpoint.architecture;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    int64_t elements = 1;
    for (int32_t i = 0; i < tensor.rank; ++i) elements *= tensor.dims[i];
    info.parameters += elements;
  }
  info.weight_type = Traits(checkpoint.MainType()).name;
  info.vocab_size = checkpoint.hparams.vocab;
  info.model_context = checkpoint.hparams.context;
  info.max_context = sizes.limits.max_context;
  info.default_max_tokens = options.default_max_tokens > 0 ? options.default_max_tokens : 1024;
  info.kv_type = Name(sizes.kv_type);
  info.isa = workers.isa();
  info.threads = workers.threads();
  info.max_running = options.max_running;
  info.max_queued = options.max_queued;
  info.fingerprint = checkpoint.fingerprint;
  info.memory = sizes.memory;
  info.work = sizes.work;
  return info;
}

// Where the token that the entry's last logits stand for will be.
int64_t NextPosition(const BatchEntry& entry) {
  return entry.start + static_cast<int64_t>(entry.tokens.size());
}

absl::Status CheckOptions(const EngineOptions& options) {
  if (options.max_running < 1 || options.max_batch_tokens < options.max_running) {
    return absl::FailedPreconditionError(
        absl::StrCat("max_batch_tokens ", options.max_batch_tokens, " and max_running ",
                     options.max_running, ": a step must hold one token of every running request"));
  }
  return absl::OkStatus();
}

}  // namespace

// Everything behind the façade. The inbox is the one border between callers and the engine
// thread; all else belongs to the engine thread, or never changes after Load.
struct Engine::State {
  struct Submission {
    RequestId id;
    Request request;
    std::shared_ptr<EventSink> sink;
  };
  struct Live {
    std::shared_ptr<EventSink> sink;
    std::unique_ptr<Sampler> sampler;
    std::unique_ptr<Matcher> matcher;  // where there is a constraint
    MaskWords mask;                    // then: of the next token
  };
  using LiveMap = absl::flat_hash_map<RequestId, Live>;

  State(ModelInfo model_info, const EngineOptions& engine_options, const SchedulerOptions& s)
      : info(std::move(model_info)),
        options(engine_options),
        scheduler(s),
        cost(engine_options.max_batch_tokens) {}

  void Run();
  bool TakeInbox();
  void Step();
  std::vector<Drawn> Draw(const Batch& batch, float* logits);
  Drawn DrawOne(const BatchEntry& entry, absl::Span<float> logits);
  void StartDrawing(RequestId id);
  void Deliver();
  void End(LiveMap::iterator it, const Event& finish);
  void Publish();

  ModelInfo info;  // complete once loaded
  const EngineOptions options;
  KvType kv_type = KvType::kInt8;
  int32_t original_context = 0;  // 0: one RoPE regime
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<const TokenTrie> token_trie;
  LogitObserver observer;
  ConstraintCache constraints{kConstraintBytes};

  // Engine thread.
  std::unique_ptr<ops::Workers> workers;
  std::unique_ptr<Model> model;
  std::optional<WeightCache> weight_cache;  // ends before the model, whose weights it saves
  std::optional<KvStore> kv;
  Scheduler scheduler;
  CostModel cost;
  std::optional<TokenMasks> token_masks;
  LiveMap live;

  // Guards what follows; `changed` tells the engine thread.
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Submission> submissions;
  std::vector<RequestId> cancels;
  bool flush = false;
  bool poked = false;
  bool stopping = false;
  RequestId next_id = 1;
  int32_t unfinished = 0;  // accepted, and their Finish not yet on its way
  EngineStats stats;
  uint64_t rounds = 0;

  std::thread thread;
};

void Engine::State::Run() {
  while (TakeInbox()) {
    Step();
    Deliver();
    Publish();
  }
  Deliver();
}

// Sleeps while there is nothing to do. False when the engine stops.
bool Engine::State::TakeInbox() {
  std::vector<Submission> added;
  std::vector<RequestId> cancelled;
  bool flush_now = false, stop = false;
  {
    std::unique_lock lock(mutex);
    if (scheduler.idle()) {
      changed.wait(lock, [this] {
        return stopping || poked || flush || !submissions.empty() || !cancels.empty();
      });
    }
    added.swap(submissions);
    cancelled.swap(cancels);
    flush_now = std::exchange(flush, false);
    poked = false;
    stop = stopping;
  }
  const Clock::time_point now = Clock::now();
  for (Submission& submission : added) {
    const RequestId id = submission.id;
    live[id].sink = std::move(submission.sink);
    if (absl::Status status = scheduler.Add(id, std::move(submission.request), now); !status.ok()) {
      End(live.find(id), Finish{FinishReason::kError, status});
      continue;
    }
    StartDrawing(id);
  }
  for (RequestId id : cancelled) scheduler.Cancel(id, absl::CancelledError("cancelled"));
  if (flush_now) scheduler.FlushPrefixCache();
  if (stop) {
    for (const auto& [id, unused] : live) {
      scheduler.Cancel(id, absl::UnavailableError("the daemon is stopping"));
    }
  }
  return !stop;
}

void Engine::State::StartDrawing(RequestId id) {
  const Request& request = scheduler.request(id);
  Live& one = live[id];
  one.sampler = std::make_unique<Sampler>(request, info.vocab_size);
  if (request.constraint == nullptr) return;
  one.matcher = std::make_unique<Matcher>(request.constraint, *token_masks, request.stop_tokens,
                                          request.min_tokens);
  one.mask.resize(token_trie->words());
}

void Engine::State::Step() {
  const Clock::time_point begin = Clock::now();
  Budget budget = cost.BudgetFor(scheduler.decoding() ? options.inter_token_target : kPrefillStep);
  if (options.max_chunk > 0) budget.max_chunk = std::min(budget.max_chunk, options.max_chunk);
  const Batch batch = scheduler.Schedule(budget, begin);
  if (batch.empty()) return;
  float* logits = model->Forward(batch, *kv);
  const std::vector<Drawn> drawn = Draw(batch, logits);
  const Clock::time_point end = Clock::now();
  scheduler.Apply(batch, drawn);
  cost.Observe(batch, end - begin);
}

std::vector<Drawn> Engine::State::Draw(const Batch& batch, float* logits) {
  const auto row = [&](size_t i) {
    return absl::MakeSpan(logits + i * info.vocab_size, info.vocab_size);
  };
  std::vector<std::pair<const BatchEntry*, size_t>> draws;  // and their rows
  size_t end = 0;
  for (const BatchEntry& entry : batch.entries) {
    for (int32_t left = entry.logit_rows; left > 0; --left, ++end) {
      if (observer) observer(entry.request, NextPosition(entry) - left + 1, row(end));
    }
    if (entry.draws) draws.push_back({&entry, end - 1});
  }
  // One after the other: they share what is kept of masks.
  std::vector<absl::Status> masked;
  for (const auto& [entry, unused] : draws) {
    Live& one = live.find(entry->request)->second;
    masked.push_back(one.matcher == nullptr ? absl::OkStatus()
                                            : one.matcher->FillMask(absl::MakeSpan(one.mask)));
  }
  std::vector<Drawn> drawn(draws.size());
  workers->ParallelFor(static_cast<int32_t>(draws.size()), [&](int32_t i) {
    drawn[i] = masked[i].ok() ? DrawOne(*draws[i].first, row(draws[i].second)) : masked[i];
  });
  return drawn;
}

Drawn Engine::State::DrawOne(const BatchEntry& entry, absl::Span<float> logits) {
  const int64_t position = NextPosition(entry);
  Live& one = live.find(entry.request)->second;
  const auto prompt_tokens = static_cast<int64_t>(scheduler.request(entry.request).prompt.size());
  HEARTH_ASSIGN_OR_RETURN(
      Token token, one.sampler->Draw(logits, position,
                                     static_cast<int32_t>(position - prompt_tokens), one.mask));
  one.sampler->Accept(token.id);
  if (one.matcher == nullptr) return DrawnToken(std::move(token));
  if (!one.matcher->Accept(token.id)) {
    return absl::InternalError("the constraint does not go on with a token of its mask");
  }
  return DrawnToken(std::move(token), one.matcher->IsOver());
}

void Engine::State::Deliver() {
  for (const Emission& emission : scheduler.TakeEvents()) {
    const auto it = live.find(emission.request);
    HEARTH_CHECK(it != live.end());
    if (std::holds_alternative<Finish>(emission.event)) {
      End(it, emission.event);
    } else {
      it->second.sink->OnEvent(emission.event);
    }
  }
}

// The place is free before its client knows, who may come back at once.
void Engine::State::End(LiveMap::iterator it, const Event& finish) {
  {
    const std::lock_guard lock(mutex);
    --unfinished;
  }
  it->second.sink->OnEvent(finish);
  live.erase(it);
}

void Engine::State::Publish() {
  const SchedulerStats s = scheduler.stats();
  const std::lock_guard lock(mutex);
  ++rounds;
  stats = {s.queued,
           s.running,
           s.blocks_total,
           s.blocks_used,
           s.blocks_cached,
           s.preemptions,
           s.cancellations,
           s.prompt_tokens_computed,
           s.prompt_tokens_cached,
           s.tokens_generated,
           s.tokens_recomputed,
           rounds};
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options,
                                                     const LoadProgress& progress) {
  const Clock::time_point begin = Clock::now();
  HEARTH_RETURN_IF_ERROR(CheckOptions(options));
  HEARTH_ASSIGN_OR_RETURN(Checkpoint checkpoint, OpenCheckpoint(options.model_path));
  HEARTH_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer,
                          Tokenizer::Create(std::move(checkpoint.vocabulary)));
  auto token_trie = std::make_unique<const TokenTrie>(*tokenizer);
  HEARTH_ASSIGN_OR_RETURN(const Sizes sizes, PlanMemory(checkpoint, options, ResidentBytes()));
  HEARTH_ASSIGN_OR_RETURN(std::unique_ptr<ops::Workers> workers,
                          ops::Workers::Create(sizes.workers));

  SchedulerOptions scheduler_options;
  scheduler_options.num_blocks = sizes.kv_blocks;
  scheduler_options.max_running = options.max_running;
  // Requests reach the queue before the step that admits them.
  scheduler_options.max_queued = options.max_queued + options.max_running;
  scheduler_options.max_batch_tokens = options.max_batch_tokens;
  scheduler_options.max_logit_rows = sizes.limits.max_logit_rows;
  scheduler_options.prefix_cache = options.prefix_cache;
  auto state = std::make_unique<State>(Describe(checkpoint, sizes, options, *workers), options,
                                       scheduler_options);
  state->kv_type = sizes.kv_type;
  state->original_context = checkpoint.hparams.original_context;
  state->tokenizer = std::move(tokenizer);
  state->token_trie = std::move(token_trie);
  state->token_masks.emplace(*state->token_trie);
  state->workers = std::move(workers);
  const auto allocate = [&](size_t bytes) { return state->workers->Allocate(bytes); };
  HEARTH_ASSIGN_OR_RETURN(
      KvStore kv, KvStore::Create(sizes.kv_layers, sizes.kv_type, sizes.kv_blocks, allocate));
  state->kv.emplace(std::move(kv));
  const auto report = [&](uint64_t bytes) {
    if (progress)
      progress(static_cast<int>(100 * bytes / std::max<uint64_t>(1, sizes.memory.weights)));
  };
  if (!options.cache_directory.empty()) {
    state->weight_cache.emplace(options.cache_directory, options.log);
  }
  WeightCache* cache = state->weight_cache ? &*state->weight_cache : nullptr;
  HEARTH_ASSIGN_OR_RETURN(state->model,
                          LoadModel(checkpoint, sizes.limits, *state->workers, cache, report));
  state->info.weights_from_cache = cache != nullptr && cache->loaded();
  state->info.load_time =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  state->Publish();
  try {
    state->thread = std::thread([s = state.get()] { s->Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot start a thread: ", error.what()));
  }
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Engine::~Engine() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_one();
  }
  state_->thread.join();
}

absl::StatusOr<RequestId> Engine::Submit(Request request, std::shared_ptr<EventSink> sink) {
  const ModelInfo& info = state_->info;
  if (request.prompt.empty() || request.max_tokens < 1) {
    return absl::InvalidArgumentError("a request needs a prompt and max_tokens of at least 1");
  }
  for (TokenId id : request.prompt) {
    if (id < 0 || id >= info.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is outside the vocabulary of ", info.vocab_size));
    }
  }
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens >= info.max_context) {
    return absl::InvalidArgumentError(absl::StrCat("the prompt has ", prompt_tokens,
                                                   " tokens, the context holds ", info.max_context,
                                                   " together with the output"));
  }
  // By what was asked for, not by what this machine's context leaves of it: promise 1.
  request.regime =
      state_->original_context > 0 && prompt_tokens + request.max_tokens > state_->original_context
          ? RopeRegime::kLong
          : RopeRegime::kShort;
  request.max_tokens =
      static_cast<int32_t>(std::min<int64_t>(request.max_tokens, info.max_context - prompt_tokens));
  request.prefix_seed = PrefixSeed(info, state_->kv_type, request.regime, request.cache_salt);

  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) return absl::UnavailableError("the engine is stopping");
  if (state_->unfinished >= info.max_queued + info.max_running) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: ", state_->unfinished, " requests are under way"));
  }
  const RequestId id = state_->next_id++;
  ++state_->unfinished;
  state_->submissions.push_back({id, std::move(request), std::move(sink)});
  state_->changed.notify_one();
  return id;
}

void Engine::Cancel(RequestId id) {
  const std::lock_guard lock(state_->mutex);
  state_->cancels.push_back(id);
  state_->changed.notify_one();
}

absl::StatusOr<std::shared_ptr<const Constraint>> Engine::CompileConstraint(
    const ConstraintSource& source) {
  return state_->constraints.Compile(source);
}

void Engine::set_logit_observer(LogitObserver observer) { state_->observer = std::move(observer); }
const Tokenizer& Engine::tokenizer() const { return *state_->tokenizer; }
const ModelInfo& Engine::info() const { return state_->info; }

EngineStats Engine::stats() const {
  const bool failed = state_->weight_cache && state_->weight_cache->failed();
  const std::lock_guard lock(state_->mutex);
  EngineStats stats = state_->stats;
  stats.weight_cache_failed = failed;
  return stats;
}

uint64_t Engine::Heartbeat() {
  const std::lock_guard lock(state_->mutex);
  state_->poked = true;
  state_->changed.notify_one();
  return state_->rounds;
}

void Engine::FlushPrefixCache() {
  const std::lock_guard lock(state_->mutex);
  state_->flush = true;
  state_->changed.notify_one();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(Vocabulary vocabulary, OpenVocabulary(path));
  return Tokenizer::Create(std::move(vocabulary));
}

absl::StatusOr<ModelListing> InspectModel(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(FileListing file, ListFile(path));
  ModelListing listing;
  listing.format = std::move(file.format);
  for (FileListing::Entry& e : file.metadata) {
    listing.metadata.push_back({std::move(e.key), std::move(e.type), std::move(e.value)});
  }
  for (FileListing::TensorEntry& t : file.tensors) {
    listing.tensors.push_back(
        {std::move(t.name), std::move(t.type), std::move(t.dims), t.offset, t.bytes});
  }
  return listing;
}

}  // namespace hearth
