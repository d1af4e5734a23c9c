// Element types of tensors as they lie in model files, and their geometry.
#ifndef HEARTH_ENGINE_TENSOR_DTYPE_H_
#define HEARTH_ENGINE_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

enum class DType : uint8_t { kF32, kF16, kBF16, kQ8_0, kQ4_0 };

struct DTypeTraits {
  std::string_view name;  // as GGUF tools spell it
  int32_t block_elements;  // elements that share a scale; 1 for plain types
  int32_t block_bytes;
};

constexpr DTypeTraits Traits(DType type) {
  switch (type) {
    case DType::kF32: return {"F32", 1, 4};
    case DType::kF16: return {"F16", 1, 2};
    case DType::kBF16: return {"BF16", 1, 2};
    case DType::kQ8_0: return {"Q8_0", 32, 34};
    case DType::kQ4_0: return {"Q4_0", 32, 18};
  }
  return {"?", 1, 0};
}

// Bytes of a row of `columns` elements. REQUIRES: columns is a multiple of the block.
constexpr size_t RowBytes(DType type, int64_t columns) {
  const DTypeTraits traits = Traits(type);
  return static_cast<size_t>(columns / traits.block_elements) * traits.block_bytes;
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_DTYPE_H_
