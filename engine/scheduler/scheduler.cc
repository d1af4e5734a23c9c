#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/scheduler/state.h"
#include "engine/status_macros.h"

namespace hearth {

Scheduler::State::State(const SchedulerOptions& scheduler_options)
    : options(scheduler_options),
      blocks(options.num_blocks, options.prefix_cache, options.prefix_key) {
  HEARTH_CHECK(options.max_running >= 1 && options.max_queued >= 1);
  HEARTH_CHECK(options.max_running <= options.max_batch_tokens);
}

Scheduler::Scheduler(const SchedulerOptions& options) : state_(new State(options)) {}
Scheduler::~Scheduler() = default;

absl::Status Scheduler::State::CheckAdmissible(const Request& request) const {
  // The last token drawn is never computed.
  const int64_t most_computed =
      static_cast<int64_t>(request.prompt.size()) + std::max(request.max_tokens - 1, 0);
  const int64_t capacity = static_cast<int64_t>(options.num_blocks) * kBlockTokens;
  if (most_computed > capacity) {
    return absl::InvalidArgumentError(absl::StrCat(
        "request: ", request.prompt.size(), " prompt tokens and ", request.max_tokens,
        " to generate, expected at most ", capacity + 1, " together: the KV cache holds no more"));
  }
  if (!request.pin.empty()) {
    HEARTH_RETURN_IF_ERROR(blocks.CheckPin(request.pin, request.prompt.size() / kBlockTokens));
  }
  if (static_cast<int32_t>(queue.size()) >= options.max_queued) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "queue: ", queue.size(), " requests wait, expected fewer than ", options.max_queued));
  }
  return absl::OkStatus();
}

std::unique_ptr<Sequence> Scheduler::Prepare(RequestId id, Request request) const {
  HEARTH_CHECK(!request.prompt.empty() && request.max_tokens >= 0);
  auto sequence = std::make_unique<Sequence>(id, std::move(request));
  state_->blocks.ExtendKeys(*sequence);
  return sequence;
}

absl::Status Scheduler::Add(std::unique_ptr<Sequence> sequence, Clock::time_point now) {
  HEARTH_CHECK(sequence->id != 0 && !state_->live.contains(sequence->id));
  HEARTH_RETURN_IF_ERROR(state_->CheckAdmissible(sequence->request));
  sequence->arrival = state_->arrivals++;
  sequence->added = now;
  sequence->client = state_->clients.Join(sequence->request.client);
  state_->queue.push_back(sequence.get());
  state_->live.emplace(sequence->id, std::move(sequence));
  return absl::OkStatus();
}

absl::Status Scheduler::Add(RequestId id, Request request, Clock::time_point now) {
  return Add(Prepare(id, std::move(request)), now);
}

void Scheduler::Cancel(RequestId id, absl::Status why) {
  HEARTH_CHECK(!why.ok());
  const auto found = state_->live.find(id);
  if (found == state_->live.end()) return;
  ++state_->totals.cancellations;
  state_->End(*found->second, FinishReason::kCancelled, std::move(why));
}

void Scheduler::Fail(RequestId id, absl::Status why) {
  HEARTH_CHECK(!why.ok());
  const auto found = state_->live.find(id);
  if (found != state_->live.end()) {
    state_->End(*found->second, FinishReason::kError, std::move(why));
  }
}

void Scheduler::State::End(Sequence& sequence, FinishReason reason, absl::Status status) {
  blocks.Release(sequence);
  std::erase(sequence.running ? running : queue, &sequence);
  clients.Leave(sequence.client, /*waiting=*/!sequence.admitted);
  Emit(sequence, Finish{.reason = reason,
                        .status = std::move(status),
                        .prompt_tokens = sequence.prompt_tokens(),
                        .cached_tokens = sequence.cached_tokens,
                        .completion_tokens = sequence.completion_tokens});
  live.erase(sequence.id);
}

void Scheduler::State::Emit(const Sequence& sequence, Event event) {
  events.push_back({sequence.id, std::move(event)});
}

Batch Scheduler::Schedule(const Budget& budget, Clock::time_point now) {
  State& state = *state_;
  state.ExpireDeadlines(now);
  state.RankRunning(now);
  const int32_t room = state.PlanRunning(budget);
  if (state.AllocatePlanned()) state.Admit(budget, room, now);
  return state.BuildBatch();
}

void Scheduler::Apply(const Batch& batch, absl::Span<const Drawn> drawn) {
  size_t next = 0;
  for (const BatchEntry& entry : batch.entries) {
    HEARTH_CHECK(!entry.draws || next < drawn.size());
    const Drawn* const outcome = entry.draws ? &drawn[next++] : nullptr;
    const auto found = state_->live.find(entry.request);
    if (found == state_->live.end()) continue;  // cancelled meanwhile
    Sequence& sequence = *found->second;
    HEARTH_CHECK(sequence.planned == static_cast<int32_t>(entry.tokens.size()) &&
                 sequence.computed == entry.start);
    state_->Advance(sequence);
    if (outcome != nullptr) {
      state_->Accept(sequence, *outcome);
    } else if (sequence.pending() == 0) {
      state_->EndAfterPrompt(sequence);
    }
  }
  HEARTH_CHECK(next == drawn.size());
}

std::vector<Emission> Scheduler::TakeEvents() { return std::exchange(state_->events, {}); }

const Request& Scheduler::request(RequestId id) const {
  const auto found = state_->live.find(id);
  HEARTH_CHECK(found != state_->live.end());
  return found->second->request;
}

bool Scheduler::idle() const { return state_->live.empty(); }

bool Scheduler::decoding() const {
  return std::any_of(state_->running.begin(), state_->running.end(),
                     [](const Sequence* s) { return s->completion_tokens > 0; });
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = state_->totals;
  stats.queued = static_cast<int32_t>(state_->queue.size());
  stats.running = static_cast<int32_t>(state_->running.size());
  const BlockPool& pool = state_->blocks.pool();
  stats.blocks_total = pool.num_blocks();
  stats.blocks_used = pool.num_used();
  stats.blocks_cached = pool.num_cached();
  stats.blocks_pinned = state_->blocks.num_pinned();
  return stats;
}

void Scheduler::FlushPrefixCache() { state_->blocks.FlushCached(); }

bool Scheduler::Unpin(const std::string& name) { return state_->blocks.Unpin(name); }

}  // namespace hearth
