#include "tests/tools/editable_gguf.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/formats/gguf.h"
#include "engine/formats/mapped_file.h"
#include "tests/tools/small_gguf.h"

namespace hearth {
namespace {

template <typename T>
std::string Raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

EditableGguf::EditableGguf(const std::string& path) {
  const auto file = *MappedFile::Open(path);
  const GgufFile gguf = *ParseGguf(file->bytes());
  GgufWriter copy;
  for (const GgufMetadata::Entry& entry : gguf.metadata.entries()) copy.Add(entry);
  metadata_ = std::move(copy.metadata);
  for (const GgufTensor& tensor : gguf.tensors) {
    tensors_.push_back({std::string(tensor.name),
                        {tensor.dims.begin(), tensor.dims.begin() + tensor.rank},
                        tensor.type->id,
                        tensor.offset,
                        tensor.bytes});
    data_.emplace_back(gguf.bytes.substr(tensor.offset, tensor.bytes));
  }
}

void EditableGguf::RenameArchitecture(absl::string_view from, absl::string_view to) {
  for (GgufWriter::Entry& entry : metadata_) {
    if (entry.key == "general.architecture") {
      entry.payload = absl::StrCat(Raw(uint64_t{to.size()}), to);
    } else if (absl::StartsWith(entry.key, absl::StrCat(from, "."))) {
      entry.key.replace(0, from.size(), std::string(to));
    }
  }
}

void EditableGguf::SetTensor(absl::string_view name, absl::Span<const int64_t> shape, DType type,
                             absl::string_view data) {
  GgufWriter one;
  one.AddTensor(name, shape, type);
  const GgufWriter::TensorEntry& entry = one.tensors[0];
  auto found = std::find_if(tensors_.begin(), tensors_.end(),
                            [name](const auto& tensor) { return tensor.name == name; });
  const size_t index = found - tensors_.begin();
  if (found == tensors_.end()) {
    tensors_.emplace_back();
    data_.emplace_back();
  }
  tensors_[index] = entry;
  HEARTH_CHECK(data.empty() || data.size() == entry.bytes);
  data_[index] = std::string(data);
  data_[index].resize(entry.bytes, '\0');
}

std::string EditableGguf::Write(absl::string_view name) const {
  GgufWriter gguf;
  gguf.metadata = metadata_;
  std::string data;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    gguf.tensors.push_back(tensors_[i]);
    gguf.tensors.back().offset = data.size();
    data += data_[i];
    data.resize((data.size() + gguf.alignment - 1) / gguf.alignment * gguf.alignment, '\0');
  }
  HEARTH_CHECK(data.size() == gguf.DataBytes());
  return WriteTemporary(name, gguf.Header() + data);
}

}  // namespace hearth
