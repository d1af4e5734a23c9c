// Floats to the element types of model files: the standard round-to-nearest encoders.
#ifndef HEARTH_TESTS_TOOLS_QUANTIZE_H_
#define HEARTH_TESTS_TOOLS_QUANTIZE_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/types/span.h"
#include "engine/tensor/dtype.h"

namespace hearth {

// By name.
std::map<std::string, DType> EncodableTypes();

// Writes RowBytes(type, values.size()) bytes to `out`, which need not be aligned.
// REQUIRES: values.size() is a multiple of the block; values are finite.
void EncodeRow(DType type, absl::Span<const float> values, std::byte* out);

// The values that encoded bytes stand for. REQUIRES: as above.
void DecodeRow(DType type, const std::byte* row, absl::Span<float> values);

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_QUANTIZE_H_
