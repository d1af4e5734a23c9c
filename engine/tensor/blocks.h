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

// 32 weights: w[k] = d * nibble + m, nibbles as in Q4_0.
struct BlockQ4_1 {
  uint16_t d;  // f16
  uint16_t m;  // f16
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// 32 weights: w[k] = d * (code - 16); a code's low four bits are Q4_0's nibble, its fifth is bit k
// of the four bytes of `high`.
struct BlockQ5_0 {
  uint16_t d;  // f16
  uint8_t high[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// 32 weights: w[k] = d * code + m, codes as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;  // f16
  uint16_t m;  // f16
  uint8_t high[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// 256 weights in 8 sub-blocks b of 32: w[k] = d * scale(b) * nibble - dmin * min(b). Of a pair of
// sub-blocks 2i and 2i + 1, element l is the low and the high nibble of q[32 i + l]. Six bits each:
//   b < 4   scale = scales[b] & 63                             min = scales[b + 4] & 63
//   b >= 4  scale = scales[b + 4] & 15 | scales[b - 4] >> 6 << 4
//           min   = scales[b + 4] >> 4 | scales[b] >> 6 << 4
struct BlockQ4_K {
  uint16_t d;     // f16
  uint16_t dmin;  // f16
  uint8_t scales[12];
  uint8_t q[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K with codes of five bits: the fifth of element l of sub-block b is bit b of high[l].
struct BlockQ5_K {
  uint16_t d;     // f16
  uint16_t dmin;  // f16
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t q[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// 256 weights in 16 sub-blocks of 16: w[k] = d * scales[k / 16] * (code - 32). Of the half h of
// 128, element 32 j + l (j < 4, l < 32) has its low four bits in q[64 h + 32 (j % 2) + l], low
// nibble for j < 2 and high for j >= 2, and its high two in bits 2j, 2j + 1 of high[32 h + l].
struct BlockQ6_K {
  uint8_t q[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t d;  // f16
};
static_assert(sizeof(BlockQ6_K) == 210);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_BLOCKS_H_
