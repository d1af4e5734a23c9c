// The Scheduler's insides, shared by the files that implement it. Included by no one else.
#ifndef HEARTH_ENGINE_SCHEDULER_STATE_H_
#define HEARTH_ENGINE_SCHEDULER_STATE_H_

#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/scheduler/block_allocator.h"
#include "engine/scheduler/fair_share.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/sequence.h"

namespace hearth {

// Place in the queue, less is earlier: class, preempted ones first, cost served, arrival.
using QueueRank = std::tuple<int32_t, bool, uint64_t, uint64_t>;

struct Scheduler::State {
  explicit State(const SchedulerOptions& scheduler_options);

  // scheduler.cc: the life of a request.
  absl::Status CheckAdmissible(const Request& request) const;
  void End(Sequence& sequence, FinishReason reason, absl::Status status);
  void Emit(const Sequence& sequence, Event event);

  // step.cc: the steps of Schedule, in this order.
  void ExpireDeadlines(Clock::time_point now);
  void RankRunning(Clock::time_point now);
  double PlanRunning(const Budget& budget);  // returns what is left, in tokens' worth
  bool AllocatePlanned();                    // false if it had to preempt
  void Admit(const Budget& budget, double room, Clock::time_point now);
  Batch BuildBatch() const;

  static void PlanChunk(Sequence& sequence, const Budget& budget, double& room);
  int32_t Class(const Sequence& sequence, Clock::time_point now) const;
  bool Outranks(const Sequence& a, const Sequence& b, Clock::time_point now) const;
  QueueRank RankQueued(const Sequence& sequence, Clock::time_point now) const;
  bool PrefixUnderway(const Sequence& queued) const;
  bool StartIfItFits(Sequence& sequence, Clock::time_point now);
  int32_t BlocksToStart(const Sequence& sequence, absl::Span<const BlockId> prefix) const;
  void Preempt(Sequence& sequence);

  // apply.cc
  void Advance(Sequence& sequence);
  void Accept(Sequence& sequence, const Drawn& drawn);
  void EndAfterPrompt(Sequence& sequence);

  const SchedulerOptions options;
  BlockAllocator blocks;
  FairShare clients;
  absl::flat_hash_map<RequestId, std::unique_ptr<Sequence>> live;
  std::vector<Sequence*> queue;    // in no order; whoever picks compares
  std::vector<Sequence*> running;  // best rank first, as of the latest Schedule
  std::vector<Emission> events;
  uint64_t arrivals = 0;
  SchedulerStats totals;  // its counters; the gauges are filled in by stats()
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_STATE_H_
