// The same model in another element type: what a quantisation costs is judged by it.
#ifndef HEARTH_TESTS_TOOLS_REQUANTIZE_H_
#define HEARTH_TESTS_TOOLS_REQUANTIZE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/tensor/dtype.h"

namespace hearth {

struct RequantizeOptions {
  DType type = DType::kF32;  // of the matrices; vectors stay F32
  // LongRoPE's: where the long factors begin, instead of where the file says. The attention
  // factor follows it.
  std::optional<uint32_t> original_context;
};

// Reads a GGUF file of any element types and writes `out`, all else unchanged. Holds both files in
// memory: for small models.
absl::Status Requantize(const std::string& path, const RequantizeOptions& options,
                        const std::string& out);

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_REQUANTIZE_H_
