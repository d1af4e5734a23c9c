// Element-wise ops on f32 activations.
#ifndef HEARTH_ENGINE_OPS_ELEMENTWISE_H_
#define HEARTH_ENGINE_OPS_ELEMENTWISE_H_

#include <cstdint>

#include "engine/ops/workers.h"

namespace hearth::ops {

// x += y, n elements.
void AddInPlace(Workers& workers, float* x, const float* y, int64_t n);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_ELEMENTWISE_H_
