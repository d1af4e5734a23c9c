// The Scheduler's insides, shared by the files that implement it. Included by no one else.
#ifndef HEARTH_ENGINE_SCHEDULER_STATE_H_
#define HEARTH_ENGINE_SCHEDULER_STATE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/scheduler/block_allocator.h"
#include "engine/scheduler/fair_share.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/sequence.h"

namespace hearth {

// What is left of a step.
struct Room {
  int32_t tokens;
  int32_t logit_rows;
};

struct Scheduler::State {
  explicit State(const SchedulerOptions& scheduler_options);

  // scheduler.cc: the life of a request.
  absl::Status CheckAdmissible(const Request& request) const;
  void End(Sequence& sequence, FinishReason reason, absl::Status status);
  void Emit(const Sequence& sequence, Event event);

  // step.cc: the steps of Schedule, in this order.
  void ExpireDeadlines(Clock::time_point now);
  void RankRunning(Clock::time_point now);
  Room PlanRunning(const Budget& budget);
  bool AllocatePlanned();  // false if it had to preempt
  void Admit(const Budget& budget, Room room, Clock::time_point now);
  Batch BuildBatch() const;

  static void PlanChunk(Sequence& sequence, int32_t max_chunk, int32_t least, Room& room);
  int32_t Class(const Sequence& sequence, Clock::time_point now) const;
  bool Outranks(const Sequence& a, const Sequence& b, Clock::time_point now) const;
  bool QueuedBefore(const Sequence& a, const Sequence& b, Clock::time_point now) const;
  bool PrefixUnderway(const Sequence& queued) const;
  bool StartIfItFits(Sequence& sequence, Clock::time_point now);
  void Preempt(Sequence& sequence);

  // apply.cc
  void Advance(Sequence& sequence);
  void Accept(Sequence& sequence, const Drawn& drawn);

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
