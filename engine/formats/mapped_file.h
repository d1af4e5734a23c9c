// A regular file mapped read-only: opened once, so that what is checked is what is read.
#ifndef HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_
#define HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hearth {

// Immutable; safe from any thread. A file that another process shortens raises SIGBUS on access.
class MappedFile {
 public:
  // NotFound, PermissionDenied, or InvalidArgument for what is not a regular file. An empty file
  // maps to no bytes.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return {data_, bytes_}; }

  // Drops the whole pages inside [begin, begin + bytes) from this process; reading them again
  // reads the file again. REQUIRES: the range lies in bytes().
  void Release(const void* begin, size_t bytes) const;

 private:
  MappedFile(char* data, size_t bytes) : data_(data), bytes_(bytes) {}

  char* const data_;
  const size_t bytes_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_
