// The GGUF container, versions 2 and 3, little-endian: header, metadata, tensor table.
#ifndef HEARTH_ENGINE_FORMATS_GGUF_H_
#define HEARTH_ENGINE_FORMATS_GGUF_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/formats/gguf_metadata.h"

namespace hearth {

inline constexpr absl::string_view kGgufMagic = "GGUF";

// Element types by the numbers of the GGUF specification, those we cannot compute with too.
struct GgufTensorType {
  uint32_t id;
  absl::string_view name;
  int64_t block_elements;
  int64_t block_bytes;
};
const GgufTensorType* FindGgufTensorType(uint32_t id);  // null when unknown

struct GgufTensor {
  absl::string_view name;
  const GgufTensorType* type = nullptr;
  int32_t rank = 0;                            // 1..4
  std::array<int64_t, 4> dims = {1, 1, 1, 1};  // file order: the contiguous dimension first
  uint64_t offset = 0;                         // from the start of the file
  uint64_t bytes = 0;
};

// A view: names and values point into the parsed bytes. Keys and names are unique and printable,
// and the tensors' data tile the rest of the file, up to padding.
struct GgufFile {
  absl::string_view bytes;
  uint32_t version = 0;
  uint64_t data_offset = 0;  // where tensor data begin
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in file order
};

// Checks the container whole (rows M2–M12, M16); DataLoss says `offset N: found, expected`.
// Memory and time are bounded, whatever counts the file claims and however long it is: what
// precedes the tensor data may have 32 MiB.
absl::StatusOr<GgufFile> ParseGguf(absl::string_view bytes);

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_GGUF_H_
