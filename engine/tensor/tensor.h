// A typed view of a tensor's bytes, which it does not own.
#ifndef HEARTH_ENGINE_TENSOR_TENSOR_H_
#define HEARTH_ENGINE_TENSOR_TENSOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/tensor/dtype.h"

namespace hearth {

// Row-major. dims[0] is the number of rows (GGUF stores the reverse order; readers turn it
// round), the last dimension is contiguous. Vectors have rank 1.
struct Tensor {
  DType dtype = DType::kF32;
  int32_t rank = 0;  // 1..4
  std::array<int64_t, 4> dims = {1, 1, 1, 1};
  const std::byte* data = nullptr;  // may be unaligned for element types wider than a byte
  size_t bytes = 0;
  std::string name;  // for messages; may be empty

  int64_t rows() const { return rank >= 2 ? dims[0] : 1; }
  int64_t cols() const { return rank >= 2 ? dims[1] : dims[0]; }
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_TENSOR_H_
