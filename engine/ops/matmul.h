// Weight matrices in kernel layout, and products with them.
#ifndef HEARTH_ENGINE_OPS_MATMUL_H_
#define HEARTH_ENGINE_OPS_MATMUL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/ops/workers.h"
#include "engine/request.h"
#include "engine/tensor/pages.h"
#include "engine/tensor/tensor.h"

namespace hearth::ops {

// A weight matrix [rows, cols] (outputs, inputs) in the packed layout of kernels.h, which every
// instruction set reads. Immutable after Pack.
class PackedMatrix {
 public:
  static size_t PackedBytes(DType dtype, int64_t rows, int64_t cols);

  // Packs the rows of `parts`, one after the other, into one matrix (q, k, v rows into a fused
  // qkv, say). All parts have the same dtype and cols. Parallel over tiles. DataLoss when a
  // scale is NaN or infinite (row M15), naming the tensor and the row.
  static absl::StatusOr<PackedMatrix> Pack(Workers& workers, absl::Span<const Tensor> parts);

  PackedMatrix() = default;
  DType dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const std::byte* data() const { return pages_.data(); }
  size_t bytes() const { return pages_.bytes(); }

 private:
  DType dtype_ = DType::kF32;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  Pages pages_;
};

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
