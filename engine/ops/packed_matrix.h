// Weight matrices in kernel layout.
#ifndef HEARTH_ENGINE_OPS_PACKED_MATRIX_H_
#define HEARTH_ENGINE_OPS_PACKED_MATRIX_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/ops/workers.h"
#include "engine/tensor/tensor.h"

namespace hearth::ops {

// A view of a weight matrix [rows, cols] (outputs, inputs) in the packed layout of
// kernels/layout.h, which every instruction set reads.
class PackedMatrix {
 public:
  // A multiple of 64.
  static size_t PackedBytes(DType dtype, int64_t rows, int64_t cols);

  PackedMatrix() = default;
  // REQUIRES: PackedBytes at `data`, aligned to 64 bytes.
  PackedMatrix(DType dtype, int64_t rows, int64_t cols, const std::byte* data)
      : dtype_(dtype), rows_(rows), cols_(cols), data_(data) {}

  DType dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const std::byte* data() const { return data_; }
  size_t bytes() const { return PackedBytes(dtype_, rows_, cols_); }

 private:
  DType dtype_ = DType::kF32;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  const std::byte* data_ = nullptr;
};

// Copies a part of a tensor's data; called by several threads at once.
using ReadTensor =
    absl::FunctionRef<absl::Status(const std::byte* from, size_t bytes, std::byte* to)>;

// Packs the rows of `parts`, one after the other, into one matrix (q, k, v rows into a fused qkv,
// say) at `memory`, which holds PackedBytes. All parts have the same dtype and cols. Their
// data is read through `read`, each row once, in pieces that fit a core's cache. Parallel. DataLoss
// when a scale is NaN or infinite (row M15), naming the tensor and the row; else what `read` says.
absl::StatusOr<PackedMatrix> Pack(Workers& workers, absl::Span<const Tensor> parts, ReadTensor read,
                                  std::byte* memory);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_PACKED_MATRIX_H_
