// Row-wise and element-wise ops on f32 activations, all contiguous.
#ifndef HEARTH_ENGINE_OPS_ELEMENTWISE_H_
#define HEARTH_ENGINE_OPS_ELEMENTWISE_H_

#include <cstdint>

#include "engine/ops/workers.h"

namespace hearth::ops {

// out[m, i] = x[m, i] / sqrt(mean(x[m]^2) + epsilon) * weight[i]. out may be x.
void RmsNorm(Workers& workers, const float* x, int32_t rows, int32_t cols, const float* weight,
             float epsilon, float* out);

// x += y, n elements.
void AddInPlace(Workers& workers, float* x, const float* y, int64_t n);

// out[m, i] = silu(gate_up[m, i]) * gate_up[m, width + i]; gate_up is [rows, 2 * width].
void SwiGlu(Workers& workers, const float* gate_up, int32_t rows, int32_t width, float* out);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_ELEMENTWISE_H_
