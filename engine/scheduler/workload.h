// What a scheduler has left to do, for forecasts.
#ifndef HEARTH_ENGINE_SCHEDULER_WORKLOAD_H_
#define HEARTH_ENGINE_SCHEDULER_WORKLOAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth {

// What is left of a sequence.
struct Work {
  int32_t computed = 0;  // tokens in the cache
  int32_t pending = 0;   // tokens to compute until the next is drawn
  int32_t rows = 0;      // of logits, which the last so many of them give
  int32_t output = 0;    // tokens to draw
  int32_t shared = 0;    // of its blocks, those that others hold too
  int32_t held = 0;      // blocks, those of the current step included

  // Those that the next `count` tokens give.
  int32_t LogitRows(int32_t count) const { return std::max(0, count - (pending - rows)); }
};

struct Workload {
  std::vector<Work> running;  // best rank first
  std::vector<Work> queued;   // in the order of their admission
  size_t asked = 0;           // which of the queued ones is asked about
  int32_t cached_tokens = 0;  // what the prefix cache has of it
  int32_t blocks_available = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_WORKLOAD_H_
