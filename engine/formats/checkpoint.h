// A model file as the rest of the engine sees it, whatever format it came from: canonical
// (GGUF) tensor names, hyperparameters and vocabulary.
#ifndef HEARTH_ENGINE_FORMATS_CHECKPOINT_H_
#define HEARTH_ENGINE_FORMATS_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/tensor/tensor.h"
#include "engine/vocabulary.h"

namespace hearth {

// Checked on reading: every value is positive and in a sane range, head_count_kv divides
// head_count, rope_dims is even and at most head_dim.
struct Hyperparameters {
  int32_t layers = 0;
  int32_t embedding = 0;
  int32_t feed_forward = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t vocab = 0;             // rows of token_embd
  int32_t context = 0;           // longest the model was made for
  int32_t original_context = 0;  // LongRoPE: the long factors apply beyond it; 0: no LongRoPE
  float rms_epsilon = 0;
  int32_t rope_dims = 0;
  double rope_theta = 10000.0;
  float rope_attention_factor = 1.0f;  // multiplies cos and sin
  int32_t sliding_window = 0;          // span of the layers that have one; 0: none has
};

class MappedFile;

// Tensor data point into the mapped file, which the Checkpoint keeps alive.
// Immutable after Open; safe to read from any thread.
struct Checkpoint {
  std::string path;
  std::string architecture;  // "phi3", "llama"
  std::string name;          // general.name, may be empty
  uint64_t fingerprint = 0;  // of metadata and tensor table; roots the prefix hash chain
  uint64_t stamp = 0;        // of the file's times: another once it was written or replaced
  Hyperparameters hparams;
  Vocabulary vocabulary;
  absl::btree_map<std::string, Tensor> tensors;
  std::shared_ptr<const MappedFile> file;

  // The tensor of that name with exactly that shape (rank 1 or 2), of any dtype; DataLoss says
  // which tensor, what was found and what was expected.
  absl::StatusOr<Tensor> Get(const std::string& tensor, absl::Span<const int64_t> shape) const;
  // The dtype of most bytes of tensor data. REQUIRES: there are tensors.
  DType MainType() const;
  bool Has(const std::string& tensor) const { return tensors.contains(tensor); }

  // Copies `bytes` at `from`, within a tensor's data, to `to`; what lies in the file, without
  // making it resident. DataLoss when the file cannot be read.
  absl::Status Read(const std::byte* from, size_t bytes, std::byte* to) const;
};

// Opens a model file and checks the container whole (rows M1–M12, M16), the hyperparameters
// (M13), the tensors' types, and the vocabulary but for what only a tokenizer finds (M17). Which
// tensors there must be, their shapes and contents (M14, M15) are the model's to check. Touches no
// tensor data. The kind of file is found by its content.
// Errors: NotFound / PermissionDenied / InvalidArgument for the path; DataLoss for the content,
// `path: offset N: what was found, what was expected`.
absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& path);

// The vocabulary alone; also of files that hold nothing else.
absl::StatusOr<Vocabulary> OpenVocabulary(const std::string& path);

// What `hearthd inspect` prints: metadata and tensors as they lie in the file.
struct FileListing {
  struct Entry {
    std::string key, type, value;  // arrays abbreviated after 8 elements
  };
  struct TensorEntry {
    std::string name, type;
    std::vector<int64_t> dims;  // file order
    uint64_t offset, bytes;     // from the start of the file
  };
  std::string format;  // "GGUF v3"
  std::vector<Entry> metadata;
  std::vector<TensorEntry> tensors;
};
absl::StatusOr<FileListing> ListFile(const std::string& path);

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_CHECKPOINT_H_
