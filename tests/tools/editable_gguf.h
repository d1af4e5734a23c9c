// A whole GGUF file taken apart, to be changed and written again; for tests of bad model files.
#ifndef HEARTH_TESTS_TOOLS_EDITABLE_GGUF_H_
#define HEARTH_TESTS_TOOLS_EDITABLE_GGUF_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/tensor/dtype.h"
#include "tests/tools/gguf_writer.h"

namespace hearth {

class EditableGguf {
 public:
  // REQUIRES: a well-formed file. Holds it in memory.
  explicit EditableGguf(const std::string& path);

  // general.architecture, and the keys that begin with it.
  void RenameArchitecture(absl::string_view from, absl::string_view to);
  // In the place of a tensor of that name or after the last. shape: as Tensor::dims. data: empty,
  // which is zeros, or all of it.
  void SetTensor(absl::string_view name, absl::Span<const int64_t> shape, DType type,
                 absl::string_view data = {});

  // Writes the file under a temporary name, which the caller removes.
  std::string Write(absl::string_view name) const;

 private:
  std::vector<GgufWriter::Entry> metadata_;
  std::vector<GgufWriter::TensorEntry> tensors_;  // their offsets are of the file as it was
  std::vector<std::string> data_;                 // by tensor
};

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_EDITABLE_GGUF_H_
