// A regular file mapped read-only: opened once, so that what is checked is what is read.
#ifndef HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_
#define HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
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
  // As the file was when it was opened.
  const struct stat& info() const { return info_; }

  // Copies `range`, a part of bytes(), to `to` without touching the mapping: none of it becomes
  // resident, and a file that cannot be read or has been shortened is DataLoss instead of SIGBUS.
  absl::Status Read(absl::string_view range, void* to) const;

 private:
  MappedFile(int fd, const struct stat& info) : fd_(fd), info_(info) {}

  const int fd_;
  const struct stat info_;
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_MAPPED_FILE_H_
