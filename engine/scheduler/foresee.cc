// What Scheduler::Foresee sees: the queue as it would be with newcomers, none of whom is added.
#include <algorithm>
#include <utility>

#include "engine/scheduler/state.h"

namespace hearth {
namespace {

Work RunningWork(const Sequence& sequence, const BlockPool& pool) {
  const auto shared = std::count_if(sequence.blocks.begin(), sequence.blocks.end(),
                                    [&](BlockId block) { return pool.refs(block) > 1; });
  return {.computed = sequence.computed,
          .pending = sequence.pending(),
          .rows = sequence.LogitRows(sequence.pending()),
          .output = sequence.request.max_tokens - sequence.completion_tokens,
          .shared = static_cast<int32_t>(shared),
          .held = static_cast<int32_t>(sequence.blocks.size())};
}

Work QueuedWork(const Sequence& sequence, const BlockAllocator& blocks) {
  const std::vector<BlockId> prefix = blocks.MatchPrefix(sequence);
  const auto cached = static_cast<int32_t>(prefix.size()) * kBlockTokens;
  return {.computed = cached,
          .pending = sequence.num_tokens() - cached,
          .rows = sequence.LogitRows(sequence.pending()),
          .output = sequence.request.max_tokens - sequence.completion_tokens,
          .shared = BlocksFor(sequence.num_tokens()) - blocks.BlocksToStart(sequence, prefix)};
}

// Of a choice whose prompt another one computes.
Work FurtherChoice(const Sequence& sequence) {
  const int32_t blocks = MatchLimit(sequence.FirstWanted() + 1);
  return {.computed = blocks * kBlockTokens,
          .pending = sequence.num_tokens() - blocks * kBlockTokens,
          .rows = sequence.LogitRows(sequence.pending()),
          .output = sequence.request.max_tokens,
          .shared = blocks};
}

}  // namespace

Workload Scheduler::Foresee(const Sequence& asked, int32_t choices,
                            absl::Span<const Sequence* const> arriving,
                            Clock::time_point now) const {
  const State& state = *state_;
  std::vector<std::pair<QueueRank, const Sequence*>> order;
  for (const Sequence* sequence : state.queue) {
    order.emplace_back(state.RankQueued(*sequence, now), sequence);
  }
  uint64_t arrival = state.arrivals;
  const auto join = [&](const Sequence& newcomer) {
    const Request& request = newcomer.request;
    const uint64_t served = state.clients.Newcomer(request.client).served;
    order.emplace_back(QueueRank{-static_cast<int32_t>(request.priority), true, served, arrival++},
                       &newcomer);
  };
  for (const Sequence* newcomer : arriving) join(*newcomer);
  join(asked);
  std::sort(order.begin(), order.end());  // no two have the same arrival

  Workload work;
  work.blocks_available = state.blocks.pool().num_available();
  for (const Sequence* sequence : state.running) {
    work.running.push_back(RunningWork(*sequence, state.blocks.pool()));
  }
  for (const auto& [rank, sequence] : order) {
    work.queued.push_back(QueuedWork(*sequence, state.blocks));
    if (sequence != &asked) continue;
    work.cached_tokens = work.queued.back().computed;
    for (int32_t i = 1; i < choices; ++i) work.queued.push_back(FurtherChoice(*sequence));
    work.asked = work.queued.size() - 1;
  }
  return work;
}

}  // namespace hearth
