// Products with weight matrices.
#ifndef HEARTH_ENGINE_OPS_MATMUL_H_
#define HEARTH_ENGINE_OPS_MATMUL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/ops/packed_matrix.h"
#include "engine/ops/workers.h"
#include "engine/request.h"
#include "engine/tensor/tensor.h"

namespace hearth::ops {

// What the products below need of Workers::scratch beside a row for each thread: the input in the
// forms that weights of these types multiply.
size_t InputBytes(absl::Span<const DType> weights, int64_t rows, int64_t cols);

// out[m, n] = sum over k of w[n, k] * x[m, k], where w is the rows of all parts, one after the
// other; all have x's number of columns. x is [rows, cols], out is [rows, rows of w], both f32 and
// contiguous. An input that meets quantised weights is quantised once (kernels.h). An element of
// out is the same bits whatever rows, threads and instruction set.
void MatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* x, int32_t rows,
            float* out);

// MatMul of norm(x): x[m, i] / sqrt(mean(x[m]^2) + epsilon) * weight[i]. Never in memory as a whole
// unless weights are plain.
void RmsNormMatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* x,
                   int32_t rows, const float* weight, float epsilon, float* out);

// MatMul of silu(gate[m, i]) * up[m, i], likewise. gate_up is [rows, 2 * cols]: gate, then up.
void SwiGluMatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* gate_up,
                  int32_t rows, float* out);

// out[i] = row ids[i] of the table, as f32; out is [ids.size(), table.cols()].
// REQUIRES: every id within [0, table.rows()).
void EmbedRows(Workers& workers, const PackedMatrix& table, absl::Span<const TokenId> ids,
               float* out);

// A vector of any plain dtype as f32. DataLoss naming it when an element is NaN or infinite.
absl::StatusOr<std::vector<float>> ToF32(const Tensor& vector);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_MATMUL_H_
