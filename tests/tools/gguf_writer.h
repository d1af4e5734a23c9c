// Builds GGUF files, version 3. Writes whatever it is given, so that tests can make bad files too.
#ifndef HEARTH_TESTS_TOOLS_GGUF_WRITER_H_
#define HEARTH_TESTS_TOOLS_GGUF_WRITER_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/formats/gguf_metadata.h"
#include "engine/tensor/dtype.h"
#include "engine/vocabulary.h"

namespace hearth {

// The specification's number of an element type.
uint32_t GgufTypeId(DType type);

class GgufWriter {
 public:
  struct Entry {
    std::string key;
    uint32_t type;
    std::string payload;  // the value as the file stores it
  };
  struct TensorEntry {
    std::string name;
    std::vector<uint64_t> dims;  // file order: the contiguous dimension first
    uint32_t type;
    uint64_t offset;  // from the start of the tensor data
    uint64_t bytes;
  };

  void AddUint32(absl::string_view key, uint32_t value);
  void AddInt32(absl::string_view key, int32_t value);
  void AddUint64(absl::string_view key, uint64_t value);
  void AddFloat32(absl::string_view key, float value);
  void AddBool(absl::string_view key, bool value);
  void AddString(absl::string_view key, absl::string_view value);
  void AddStrings(absl::string_view key, absl::Span<const std::string> values);
  void AddInt32s(absl::string_view key, absl::Span<const int32_t> values);
  void AddFloat32s(absl::string_view key, absl::Span<const float> values);
  void Add(const GgufMetadata::Entry& entry);        // one that was read
  void AddVocabulary(const Vocabulary& vocabulary);  // the tokenizer.* keys

  // Declares a tensor whose data follow those of the tensors before it, aligned.
  // shape: row-major, as Tensor::dims. REQUIRES: the last dimension is a multiple of the block.
  void AddTensor(absl::string_view name, absl::Span<const int64_t> shape, DType type);

  // All that precedes the tensor data, padded to the alignment.
  std::string Header() const;
  // Bytes of tensor data, the last tensor padded too.
  uint64_t DataBytes() const;
  // A whole file whose tensor data are zero.
  std::string ZeroFile() const { return Header() + std::string(DataBytes(), '\0'); }

  // What has been added; open to change.
  std::vector<Entry> metadata;
  std::vector<TensorEntry> tensors;
  uint32_t version = 3;
  uint32_t alignment = 32;  // Header() does not write the key general.alignment
};

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_GGUF_WRITER_H_
