// Conversions between f32 and the 16-bit float formats, in integer arithmetic: exact on every CPU.
#ifndef HEARTH_ENGINE_TENSOR_FLOAT16_H_
#define HEARTH_ENGINE_TENSOR_FLOAT16_H_

#include <bit>
#include <cstdint>

namespace hearth {

// IEEE 754 binary16 to binary32; exact. NaN payloads are kept and made quiet, as F16C does.
inline float F16ToF32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1f;
  uint32_t mantissa = h & 0x3ffu;
  if (exponent == 0x1f) {
    const uint32_t quiet = mantissa ? 0x400000u : 0;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    const int shift = std::countl_zero(mantissa) - 21;  // to bring the leading one to bit 10
    mantissa = (mantissa << shift) & 0x3ffu;
    return std::bit_cast<float>(sign | (static_cast<uint32_t>(113 - shift) << 23) |
                                (mantissa << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// Binary32 to binary16, round to nearest even; overflow gives infinity.
inline uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // >= 65520
  if (magnitude < 0x33000001u) return sign;                                    // <= 2^-25
  const uint32_t exponent = magnitude >> 23;
  const uint32_t shift = exponent < 113 ? 126 - exponent : 13;
  const uint32_t mantissa =
      exponent < 113 ? ((magnitude & 0x7fffffu) | 0x800000u) : (magnitude - (112u << 23));
  const uint32_t odd = (mantissa >> shift) & 1;
  const uint32_t below_halfway = (1u << (shift - 1)) - 1;
  return static_cast<uint16_t>(sign | (mantissa + below_halfway + odd) >> shift);
}

inline float BF16ToF32(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }

// Round to nearest even; NaN stays NaN.
inline uint16_t F32ToBF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_FLOAT16_H_
