// When a request would begin and end its output: the Scheduler's steps in advance, each as long as
// the CostModel expects. Every request generates all it may; none is preempted, cancelled or added.
#ifndef HEARTH_ENGINE_SCHEDULER_FORECAST_H_
#define HEARTH_ENGINE_SCHEDULER_FORECAST_H_

#include <chrono>
#include <cstdint>

#include "engine/request.h"
#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/workload.h"

namespace hearth {

struct StepLimits {
  int32_t max_running;
  int32_t max_batch_tokens;
  int32_t max_chunk;                        // 0: no own limit
  std::chrono::nanoseconds decode_target;   // of a step while some sequence has begun its output
  std::chrono::nanoseconds prefill_target;  // while none has

  Budget Allow(const CostModel& cost, bool decoding) const;
};

// REQUIRES: work.asked is one of the queued.
Estimate Forecast(const Workload& work, const StepLimits& limits, const CostModel& cost);

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_FORECAST_H_
