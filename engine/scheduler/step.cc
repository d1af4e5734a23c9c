// The steps of Scheduler::Schedule.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/scheduler/state.h"

namespace hearth {
namespace {

absl::Status Expired(const Sequence& sequence, Clock::time_point now) {
  const auto waited = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - sequence.added).count();
  };
  if (now >= sequence.request.deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat("deadline: not finished after ", waited(), " ms"));
  }
  if (!sequence.admitted && now >= sequence.request.queue_deadline) {
    return absl::UnavailableError(
        absl::StrCat("queue deadline: not started after ", waited(), " ms; the server is busy"));
  }
  return absl::OkStatus();
}

}  // namespace

int32_t Budget::Chunk(int32_t pending, int32_t rows, double room) const {
  if (room < 1) return 0;
  const double without = pending - rows;
  if (room > without) room = std::max(1.0, without + (room - without) / (1 + row_tokens));
  const auto most = static_cast<int32_t>(std::min<double>(room, pending));
  return std::min(most, std::max(max_chunk, 1));
}

void Scheduler::State::ExpireDeadlines(Clock::time_point now) {
  std::vector<Sequence*> all = queue;
  all.insert(all.end(), running.begin(), running.end());
  for (Sequence* sequence : all) {
    absl::Status status = Expired(*sequence, now);
    if (!status.ok()) End(*sequence, FinishReason::kError, std::move(status));
  }
}

// A request ages from when it came, but while it was never admitted not from before its client's
// latest admission of that priority: a client that floods the queue gains nothing by it.
int32_t Scheduler::State::Class(const Sequence& sequence, Clock::time_point now) const {
  const auto priority = static_cast<size_t>(sequence.request.priority);
  Clock::time_point since = sequence.added;
  if (!sequence.admitted) since = std::max(since, sequence.client->last_admitted[priority]);
  const int64_t raised = options.ageing.count() > 0 ? (now - since) / options.ageing : 0;
  const int64_t highest = static_cast<int64_t>(Priority::kHigh);
  return static_cast<int32_t>(std::min<int64_t>(highest, priority + raised));
}

bool Scheduler::State::Outranks(const Sequence& a, const Sequence& b, Clock::time_point now) const {
  return std::tuple(-Class(a, now), a.arrival) < std::tuple(-Class(b, now), b.arrival);
}

QueueRank Scheduler::State::RankQueued(const Sequence& sequence, Clock::time_point now) const {
  const uint64_t served = sequence.admitted ? 0 : sequence.client->served;
  return {-Class(sequence, now), !sequence.admitted, served, sequence.arrival};
}

void Scheduler::State::RankRunning(Clock::time_point now) {
  std::sort(running.begin(), running.end(),
            [&](const Sequence* a, const Sequence* b) { return Outranks(*a, *b, now); });
}

void Scheduler::State::PlanChunk(Sequence& sequence, const Budget& budget, double& room) {
  const int32_t pending = sequence.pending();
  sequence.planned = budget.Chunk(pending, sequence.LogitRows(pending), room);
  room -= budget.Worth(sequence.planned, sequence.LogitRows(sequence.planned));
}

double Scheduler::State::PlanRunning(const Budget& budget) {
  double room = std::clamp(budget.max_tokens, 1, options.max_batch_tokens);
  int32_t free = options.max_batch_tokens;
  for (Sequence* sequence : running) {
    sequence->planned = sequence->pending() == 1 ? 1 : 0;
    if (sequence->planned > 0) room -= budget.Worth(1, sequence->LogitRows(1));
    free -= sequence->planned;
  }
  // Decoding streams cannot stop prompts.
  room = std::max<double>(room, std::min(budget.min_chunk, free));
  for (Sequence* sequence : running) {
    if (sequence->pending() > 1) PlanChunk(*sequence, budget, room);
  }
  return room;
}

bool Scheduler::State::AllocatePlanned() {
  const uint64_t preemptions = totals.preemptions;
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence* const sequence = running[i];
    while (sequence->running && !blocks.Extend(*sequence, sequence->computed + sequence->planned)) {
      if (running.size() == 1 && blocks.YieldPin()) continue;
      Preempt(*running.back());  // which may be `sequence` itself
    }
  }
  return totals.preemptions == preemptions;
}

void Scheduler::State::Preempt(Sequence& sequence) {
  blocks.Release(sequence);
  std::erase(running, &sequence);
  queue.push_back(&sequence);
  sequence.running = false;
  ++totals.preemptions;
}

void Scheduler::State::Admit(const Budget& budget, double room, Clock::time_point now) {
  std::vector<Sequence*> candidates = queue;
  while (room >= 1 && !candidates.empty() &&
         static_cast<int32_t>(running.size()) < options.max_running) {
    const auto first = std::min_element(candidates.begin(), candidates.end(),
                                        [&](const Sequence* a, const Sequence* b) {
                                          return RankQueued(*a, now) < RankQueued(*b, now);
                                        });
    Sequence& next = **first;
    candidates.erase(first);
    if (PrefixUnderway(next)) continue;
    if (!StartIfItFits(next, now)) return;
    PlanChunk(next, budget, room);
    HEARTH_CHECK(blocks.Extend(next, next.computed + next.planned));
  }
}

// Whether a running sequence is computing the next block of a prefix that `queued` shares. The
// blocks before it are held by that sequence, so they will be there too.
bool Scheduler::State::PrefixUnderway(const Sequence& queued) const {
  const auto limit = static_cast<size_t>(MatchLimit(queued.FirstWanted() + 1));
  return std::any_of(running.begin(), running.end(), [&](const Sequence* sequence) {
    const auto next = static_cast<size_t>(sequence->published);
    return sequence->publishes && next < std::min(limit, sequence->keys.size()) &&
           next < queued.keys.size() && sequence->keys[next] == queued.keys[next];
  });
}

// Those of all tokens it has, those that the running sequences still lack, and one more for each of
// them: a newcomer is not to be preempted at once.
int32_t Scheduler::State::BlocksToStart(const Sequence& sequence,
                                        absl::Span<const BlockId> prefix) const {
  int32_t needed = blocks.BlocksToStart(sequence, prefix);
  for (const Sequence* other : running) {
    needed += BlocksFor(other->num_tokens()) - static_cast<int32_t>(other->blocks.size()) + 1;
  }
  return needed;
}

// What would not fit even alone is what pins yield to.
bool Scheduler::State::StartIfItFits(Sequence& sequence, Clock::time_point now) {
  std::vector<BlockId> prefix = blocks.MatchPrefix(sequence);
  while (BlocksToStart(sequence, prefix) > blocks.pool().num_available()) {
    if (!running.empty() || !blocks.YieldPin()) return false;
  }
  blocks.Adopt(sequence, std::move(prefix));
  std::erase(queue, &sequence);
  running.push_back(&sequence);
  sequence.running = true;

  const int32_t gained = std::max(0, sequence.computed - sequence.reached);
  const int32_t cached = std::min(gained, std::max(0, sequence.prompt_tokens() - sequence.reached));
  sequence.reached += gained;
  sequence.cached_tokens += cached;
  totals.prompt_tokens_cached += cached;
  if (!sequence.admitted) {
    sequence.admitted = true;
    clients.Admit(sequence.client, sequence.request.priority, sequence.pending() * kInputTokenCost,
                  now);
  }
  return true;
}

Batch Scheduler::State::BuildBatch() const {
  Batch batch;
  for (const Sequence* sequence : running) {
    if (sequence->planned == 0) continue;
    batch.entries.push_back(
        {.request = sequence->id,
         .tokens =
             absl::MakeConstSpan(sequence->tokens).subspan(sequence->computed, sequence->planned),
         .start = sequence->computed,
         .blocks = sequence->blocks,
         .regime = sequence->request.regime,
         .logit_rows = sequence->LogitRows(sequence->planned),
         .pooled_rows = sequence->PooledRows(sequence->planned),
         .draws = sequence->Draws(sequence->planned)});
    batch.num_tokens += sequence->planned;
  }
  return batch;
}

}  // namespace hearth
