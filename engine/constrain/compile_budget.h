// What compiling one constraint may cost, counted in steps and bytes and not in time, so that the
// same constraint is always either taken or refused.
#ifndef HEARTH_ENGINE_CONSTRAIN_COMPILE_BUDGET_H_
#define HEARTH_ENGINE_CONSTRAIN_COMPILE_BUDGET_H_

#include <cstdint>

#include "absl/status/status.h"

namespace hearth {

class CompileBudget {
 public:
  // A step is the work of a few nanoseconds; a constraint of the default size takes at most some
  // tens of milliseconds.
  static constexpr int64_t kSteps = 3'000'000;
  static constexpr int64_t kBytes = int64_t{16} << 20;

  explicit CompileBudget(int64_t steps = kSteps, int64_t bytes = kBytes)
      : steps_(steps), bytes_(bytes) {}

  // InvalidArgument once more is spent than there is. It stays so.
  absl::Status Spend(int64_t steps, int64_t bytes = 0) {
    steps_ -= steps;
    bytes_ -= bytes;
    if (steps_ < 0) return absl::InvalidArgumentError("too complex: it takes too long to compile");
    if (bytes_ < 0) return absl::InvalidArgumentError("too complex: its automata are too large");
    return absl::OkStatus();
  }

 private:
  int64_t steps_;
  int64_t bytes_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_COMPILE_BUDGET_H_
