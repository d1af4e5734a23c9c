// On-disk block structures (GGUF specification, ggml block formats). Little-endian.
#ifndef HEARTH_ENGINE_TENSOR_BLOCKS_H_
#define HEARTH_ENGINE_TENSOR_BLOCKS_H_

#include <cstdint>

namespace hearth {

// 32 weights: w[k] = d * q[k].
struct BlockQ8_0 {
  uint16_t d;  // f16
  int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// 32 weights: w[k] = d * (nibble - 8); the low nibble of q[i] is k = i, the high one k = i + 16.
struct BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_BLOCKS_H_
