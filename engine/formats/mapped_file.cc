#include "engine/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hearth {
namespace {

absl::string_view KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "a socket";
}

// NotFound and PermissionDenied stay; whatever else a path can be is an invalid argument.
absl::Status OpenError(int error, absl::string_view what) {
  absl::Status status = absl::ErrnoToStatus(error, what);
  if (absl::IsNotFound(status) || absl::IsPermissionDenied(status)) return status;
  return absl::InvalidArgumentError(status.message());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("the path of the model file is empty or has a NUL byte");
  }
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return OpenError(errno, path);
  struct stat info = {};
  const int stat_error = fstat(fd, &info) == 0 ? 0 : errno;
  std::shared_ptr<MappedFile> file(new MappedFile(fd, info));  // closes fd
  if (stat_error != 0) return OpenError(stat_error, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is ", KindOf(info.st_mode), ", expected a regular file"));
  }
  const size_t bytes = static_cast<size_t>(info.st_size);
  if (bytes == 0) return file;
  void* address = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return OpenError(errno, absl::StrCat(path, ": mmap"));
  file->data_ = static_cast<char*>(address);
  file->bytes_ = bytes;
  // Each byte is read once, when a model loads.
  madvise(address, bytes, MADV_SEQUENTIAL);
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, bytes_);
  close(fd_);
}

absl::Status MappedFile::Read(absl::string_view range, void* to) const {
  const off_t begin = range.data() - data_;
  for (size_t done = 0; done < range.size();) {
    const ssize_t n = pread(fd_, static_cast<char*>(to) + done, range.size() - done,
                            begin + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return absl::DataLossError(absl::StrCat(
          "offset ", begin + done,
          ": cannot be read: ", n == 0 ? "the file has become shorter" : std::strerror(errno)));
    }
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace hearth
