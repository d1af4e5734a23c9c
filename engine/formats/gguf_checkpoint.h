// What a GGUF file says of a model. Shapes of an architecture's tensors are the model's to check.
#ifndef HEARTH_ENGINE_FORMATS_GGUF_CHECKPOINT_H_
#define HEARTH_ENGINE_FORMATS_GGUF_CHECKPOINT_H_

#include "absl/status/statusor.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"

namespace hearth {

// Everything but path and file; tensors point into gguf.bytes.
absl::StatusOr<Checkpoint> GgufCheckpoint(const GgufFile& gguf);

// Lengths and ids agree with each other (row M17, the part that needs no table of tokens).
absl::StatusOr<Vocabulary> GgufVocabulary(const GgufMetadata& metadata);

FileListing ListGguf(const GgufFile& gguf);

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_GGUF_CHECKPOINT_H_
