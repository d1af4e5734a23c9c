// Ops on f32 activations that meet no matrix.
#ifndef HEARTH_ENGINE_OPS_ELEMENTWISE_H_
#define HEARTH_ENGINE_OPS_ELEMENTWISE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "engine/ops/workers.h"

namespace hearth::ops {

// x += y, n elements.
void AddInPlace(Workers& workers, float* x, const float* y, int64_t n);

// out[i] = norm(x[rows[i]]), as in RmsNormMatMul (matmul.h). x has rows of `cols` elements; out is
// [rows.size(), cols] and does not overlap it.
void RmsNormRows(Workers& workers, const float* x, absl::Span<const int32_t> rows, int64_t cols,
                 const float* weight, float epsilon, float* out);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_ELEMENTWISE_H_
