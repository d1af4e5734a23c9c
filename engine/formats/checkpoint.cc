#include "engine/formats/checkpoint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_checkpoint.h"
#include "engine/formats/mapped_file.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

struct OpenedGguf {
  std::shared_ptr<const MappedFile> file;
  GgufFile gguf;  // points into file
};

absl::StatusOr<OpenedGguf> OpenGguf(const std::string& path) {
  OpenedGguf opened;
  HEARTH_ASSIGN_OR_RETURN(opened.file, MappedFile::Open(path));
  HEARTH_ASSIGN_OR_RETURN(opened.gguf, ParseGguf(opened.file->bytes()));
  return opened;
}

// Errors of the content name the file; those of the path do already.
absl::Status Annotated(const std::string& path, const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(absl::StrCat(path, ": ", status.message()));
}

std::string ShapeName(absl::Span<const int64_t> dims) {
  return absl::StrCat("[", absl::StrJoin(dims, ","), "]");
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(OpenedGguf opened, OpenGguf(path));
  HEARTH_ASSIGN_OR_RETURN(Checkpoint checkpoint, GgufCheckpoint(opened.gguf));
  checkpoint.path = path;
  checkpoint.file = std::move(opened.file);
  return checkpoint;
}

absl::StatusOr<Vocabulary> ReadVocabulary(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const OpenedGguf opened, OpenGguf(path));
  return GgufVocabulary(opened.gguf.metadata);
}

absl::StatusOr<FileListing> ReadListing(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const OpenedGguf opened, OpenGguf(path));
  return ListGguf(opened.gguf);
}

template <typename T>
absl::StatusOr<T> Annotate(const std::string& path, absl::StatusOr<T> result) {
  if (!result.ok()) return Annotated(path, result.status());
  return result;
}

}  // namespace

absl::StatusOr<Tensor> Checkpoint::Get(const std::string& tensor,
                                       absl::Span<const int64_t> shape) const {
  const auto it = tensors.find(tensor);
  if (it == tensors.end()) {
    return absl::DataLossError(
        absl::StrCat(path, ": tensor ", tensor, " is missing, expected shape ", ShapeName(shape)));
  }
  const absl::Span<const int64_t> found(it->second.dims.data(), it->second.rank);
  if (found != shape) {
    return absl::DataLossError(absl::StrCat(path, ": tensor ", tensor, ": shape ", ShapeName(found),
                                            ", expected ", ShapeName(shape)));
  }
  return it->second;
}

DType Checkpoint::MainType() const {
  absl::btree_map<DType, size_t> bytes;
  for (const auto& [unused, tensor] : tensors) bytes[tensor.dtype] += tensor.bytes;
  return std::max_element(bytes.begin(), bytes.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

void Checkpoint::Release(const Tensor& tensor) const {
  HEARTH_CHECK(file != nullptr);
  file->Release(tensor.data, tensor.bytes);
}

absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& path) {
  return Annotate(path, ReadCheckpoint(path));
}

absl::StatusOr<Vocabulary> OpenVocabulary(const std::string& path) {
  return Annotate(path, ReadVocabulary(path));
}

absl::StatusOr<FileListing> ListFile(const std::string& path) {
  return Annotate(path, ReadListing(path));
}

}  // namespace hearth
