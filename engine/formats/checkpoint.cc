#include "engine/formats/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_checkpoint.h"
#include "engine/formats/mapped_file.h"
#include "engine/mix.h"
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

uint64_t Stamp(const struct stat& info) {
  uint64_t stamp = 0;
  for (const timespec& time : {info.st_mtim, info.st_ctim}) {
    stamp = Mix(stamp ^ static_cast<uint64_t>(time.tv_sec));
    stamp = Mix(stamp ^ static_cast<uint64_t>(time.tv_nsec));
  }
  return stamp;
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(OpenedGguf opened, OpenGguf(path));
  HEARTH_ASSIGN_OR_RETURN(Checkpoint checkpoint, GgufCheckpoint(opened.gguf));
  checkpoint.path = path;
  checkpoint.stamp = Stamp(opened.file->info());
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

absl::Status Checkpoint::Read(const std::byte* from, size_t bytes, std::byte* to) const {
  const absl::string_view mapped = file == nullptr ? absl::string_view() : file->bytes();
  const absl::string_view range(reinterpret_cast<const char*>(from), bytes);
  const std::less_equal<const char*> up_to;
  if (up_to(mapped.begin(), range.begin()) && up_to(range.end(), mapped.end())) {
    return file->Read(range, to);
  }
  std::memcpy(to, from, bytes);
  return absl::OkStatus();
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
