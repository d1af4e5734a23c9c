#include "engine/engine.h"

#include <algorithm>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/formats/checkpoint.h"
#include "engine/memory_plan.h"
#include "engine/mix.h"
#include "engine/state.h"
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
  info.block_tokens = kBlockTokens;
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

absl::Status CheckRequest(const Request& request, const ModelInfo& info) {
  const bool of_prompt =
      request.prompt_logits_from >= 0 || request.pooling != Pooling::kNone || !request.pin.empty();
  if (request.prompt.empty() || request.max_tokens < (of_prompt ? 0 : 1)) {
    return absl::InvalidArgumentError("a request needs a prompt and max_tokens of at least 1");
  }
  if (!request.pin.empty() && request.max_tokens > 0) {
    return absl::InvalidArgumentError("a request that pins its prompt generates nothing");
  }
  for (TokenId id : request.prompt) {
    if (id < 0 || id >= info.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is outside the vocabulary of ", info.vocab_size));
    }
  }
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens + (request.max_tokens > 0 ? 1 : 0) > info.max_context) {
    return absl::InvalidArgumentError(absl::StrCat("the prompt has ", prompt_tokens,
                                                   " tokens, the context holds ", info.max_context,
                                                   " together with the output"));
  }
  return absl::OkStatus();
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
  scheduler_options.prefix_cache = options.prefix_cache;
  auto state = std::make_unique<State>(Describe(checkpoint, sizes, options, *workers), options,
                                       scheduler_options);
  state->kv_type = sizes.kv_type;
  state->original_context = checkpoint.hparams.original_context;
  state->max_logit_rows = sizes.limits.max_logit_rows;
  state->hidden = sizes.hidden;
  state->tokenizer = std::move(tokenizer);
  state->token_trie = std::move(token_trie);
  state->token_masks.emplace(*state->token_trie);
  state->row_masks.assign(sizes.limits.max_logit_rows, MaskWords(state->token_trie->words()));
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

StepLimits Engine::State::Limits() const {
  return {.max_running = options.max_running,
          .max_batch_tokens = options.max_batch_tokens,
          .max_chunk = options.max_chunk,
          .decode_target = options.inter_token_target,
          .prefill_target = kPrefillStep};
}

absl::Status Engine::State::Prepare(Request& request) const {
  HEARTH_RETURN_IF_ERROR(CheckRequest(request, info));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  // By what was asked for, not by what this machine's context leaves of it: promise 1. A prefix is
  // pinned for those who will ask for the default.
  const int64_t asked = request.pin.empty() ? request.max_tokens : info.default_max_tokens;
  request.regime = original_context > 0 && prompt_tokens + asked > original_context
                       ? RopeRegime::kLong
                       : RopeRegime::kShort;
  request.max_tokens =
      static_cast<int32_t>(std::min<int64_t>(request.max_tokens, info.max_context - prompt_tokens));
  request.prefix_seed = PrefixSeed(info, kv_type, request.regime, request.cache_salt);
  return absl::OkStatus();
}

absl::StatusOr<RequestId> Engine::Submit(Request request, std::shared_ptr<EventSink> sink) {
  HEARTH_RETURN_IF_ERROR(state_->Prepare(request));
  const ModelInfo& info = state_->info;
  const RequestId id = state_->next_id++;
  std::unique_ptr<Sequence> sequence = state_->scheduler.Prepare(id, std::move(request));
  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) return absl::UnavailableError("the engine is stopping");
  if (state_->unfinished >= info.max_queued + info.max_running) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: ", state_->unfinished, " requests are under way"));
  }
  ++state_->unfinished;
  state_->submissions.push_back({std::move(sequence), std::move(sink)});
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
  SchedulerStats s;
  {
    const std::lock_guard lock(state_->planning);
    s = state_->scheduler.stats();
  }
  const std::lock_guard lock(state_->mutex);
  return {.queued = s.queued,
          .running = s.running,
          .blocks_total = s.blocks_total,
          .blocks_used = s.blocks_used,
          .blocks_cached = s.blocks_cached,
          .blocks_pinned = s.blocks_pinned,
          .preemptions = s.preemptions,
          .cancellations = s.cancellations,
          .prompt_tokens_computed = s.prompt_tokens_computed,
          .prompt_tokens_cached = s.prompt_tokens_cached,
          .tokens_generated = s.tokens_generated,
          .tokens_recomputed = s.tokens_recomputed,
          .steps = state_->rounds,
          .weight_cache_failed = failed};
}

absl::StatusOr<Estimate> Engine::EstimateFor(Request request, int32_t choices) const {
  HEARTH_CHECK(choices >= 1);
  HEARTH_RETURN_IF_ERROR(state_->Prepare(request));
  const std::unique_ptr<Sequence> asked = state_->scheduler.Prepare(0, std::move(request));
  std::vector<const Sequence*> arriving;
  std::unique_lock planning(state_->planning);
  {
    const std::lock_guard lock(state_->mutex);
    for (const State::Submission& s : state_->submissions) arriving.push_back(s.sequence.get());
  }
  const Workload work = state_->scheduler.Foresee(*asked, choices, arriving, Clock::now());
  const CostModel cost = state_->cost;
  planning.unlock();
  return Forecast(work, state_->Limits(), cost);
}

uint64_t Engine::Heartbeat() {
  const std::lock_guard lock(state_->mutex);
  state_->poked = true;
  state_->changed.notify_one();
  return state_->rounds;
}

void Engine::FlushPrefixCache() {
  const std::lock_guard lock(state_->planning);
  state_->scheduler.FlushPrefixCache();
}

bool Engine::Unpin(const std::string& name) {
  const std::lock_guard lock(state_->planning);
  return state_->scheduler.Unpin(name);
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
