// Element types of tensors as they lie in model files, and their geometry.
#ifndef HEARTH_ENGINE_TENSOR_DTYPE_H_
#define HEARTH_ENGINE_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

inline constexpr DType kDTypes[] = {
    DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
    DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
};

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
    case DType::kQ4_1: return {"Q4_1", 32, 20};
    case DType::kQ5_0: return {"Q5_0", 32, 22};
    case DType::kQ5_1: return {"Q5_1", 32, 24};
    case DType::kQ4_K: return {"Q4_K", 256, 144};
    case DType::kQ5_K: return {"Q5_K", 256, 176};
    case DType::kQ6_K: return {"Q6_K", 256, 210};
  }
  return {"?", 1, 0};
}

// Whether elements are codes times scales rather than numbers of their own.
constexpr bool IsQuantized(DType type) { return Traits(type).block_elements > 1; }

// Bytes of a row of `columns` elements. REQUIRES: columns is a multiple of the block.
constexpr size_t RowBytes(DType type, int64_t columns) {
  const DTypeTraits traits = Traits(type);
  return static_cast<size_t>(columns / traits.block_elements) * traits.block_bytes;
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_DTYPE_H_
