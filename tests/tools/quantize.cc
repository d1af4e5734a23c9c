#include "tests/tools/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/tensor/blocks.h"
#include "engine/tensor/float16.h"

namespace hearth {
namespace {

constexpr size_t kBlock = 32;

// To the nearest integer, halves to even, for |x| < 2^22.
int32_t Round(float x) {
  const float rounded = (x + 0x1.8p+23f) - 0x1.8p+23f;
  return static_cast<int32_t>(rounded);
}

// The scale maps the value of largest magnitude to -8, the one code without a counterpart.
BlockQ4_0 EncodeQ4_0(const float* x) {
  float extreme = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    if (std::abs(x[i]) > std::abs(extreme)) extreme = x[i];
  }
  const float scale = extreme / -8.0f;
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  const auto code = [inverse](float value) {
    return static_cast<uint8_t>(std::clamp(Round(value * inverse) + 8, 0, 15));
  };
  BlockQ4_0 block;
  block.d = F32ToF16(scale);
  for (size_t i = 0; i < kBlock / 2; ++i) {
    block.q[i] = static_cast<uint8_t>(code(x[i]) | (code(x[i + kBlock / 2]) << 4));
  }
  return block;
}

BlockQ8_0 EncodeQ8_0(const float* x) {
  float largest = 0;
  for (size_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::abs(x[i]));
  const float scale = largest / 127.0f;
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  BlockQ8_0 block;
  block.d = F32ToF16(scale);
  for (size_t i = 0; i < kBlock; ++i) {
    block.q[i] = static_cast<int8_t>(std::clamp(Round(x[i] * inverse), -127, 127));
  }
  return block;
}

void Decode(const BlockQ4_0& block, float* out) {
  const float scale = F16ToF32(block.d);
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * static_cast<float>((block.q[i] & 15) - 8);
    out[i + kBlock / 2] = scale * static_cast<float>((block.q[i] >> 4) - 8);
  }
}

void Decode(const BlockQ8_0& block, float* out) {
  const float scale = F16ToF32(block.d);
  for (size_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(block.q[i]);
}

// One element (a block or a number) after the other; `step` floats each.
template <typename Encode>
void EncodeEach(absl::Span<const float> values, size_t step, std::byte* out, Encode encode) {
  for (size_t i = 0; i < values.size(); i += step) {
    const auto element = encode(&values[i]);
    std::memcpy(out, &element, sizeof(element));
    out += sizeof(element);
  }
}

template <typename Element, typename DecodeElement>
void DecodeEach(const std::byte* row, size_t step, absl::Span<float> values, DecodeElement decode) {
  for (size_t i = 0; i < values.size(); i += step) {
    Element element;
    std::memcpy(&element, row, sizeof(element));
    row += sizeof(element);
    decode(element, &values[i]);
  }
}

}  // namespace

std::map<std::string, DType> EncodableTypes() {
  std::map<std::string, DType> types;
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    types.emplace(Traits(type).name, type);
  }
  return types;
}

void EncodeRow(DType type, absl::Span<const float> values, std::byte* out) {
  switch (type) {
    case DType::kF32:
      std::memcpy(out, values.data(), values.size() * sizeof(float));
      return;
    case DType::kF16:
      return EncodeEach(values, 1, out, [](const float* x) { return F32ToF16(*x); });
    case DType::kBF16:
      return EncodeEach(values, 1, out, [](const float* x) { return F32ToBF16(*x); });
    case DType::kQ8_0:
      return EncodeEach(values, kBlock, out, EncodeQ8_0);
    case DType::kQ4_0:
      return EncodeEach(values, kBlock, out, EncodeQ4_0);
  }
}

void DecodeRow(DType type, const std::byte* row, absl::Span<float> values) {
  const auto block = [](const auto& element, float* out) { Decode(element, out); };
  switch (type) {
    case DType::kF32:
      std::memcpy(values.data(), row, values.size() * sizeof(float));
      return;
    case DType::kF16:
      return DecodeEach<uint16_t>(row, 1, values,
                                  [](uint16_t h, float* out) { *out = F16ToF32(h); });
    case DType::kBF16:
      return DecodeEach<uint16_t>(row, 1, values,
                                  [](uint16_t h, float* out) { *out = BF16ToF32(h); });
    case DType::kQ8_0:
      return DecodeEach<BlockQ8_0>(row, kBlock, values, block);
    case DType::kQ4_0:
      return DecodeEach<BlockQ4_0>(row, kBlock, values, block);
  }
}

}  // namespace hearth
