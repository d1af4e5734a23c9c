#include "server/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/status_macros.h"

namespace hearth::server {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr mode_t kOpenToOthers = S_IRWXO | S_IWGRP;

// Where a file named in the configuration lies.
absl::StatusOr<std::string> Locate(const std::string& path) {
  absl::string_view name = path;
  if (!absl::ConsumePrefix(&name, "credential:")) return path;
  if (name.empty() || absl::StrContains(name, '/')) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected credential:NAME"));
  }
  const char* directory = getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(path, ": CREDENTIALS_DIRECTORY is not set, expected LoadCredential=", name,
                     ":FILE in the unit"));
  }
  return absl::StrCat(directory, "/", name);
}

absl::StatusOr<std::string> Read(const std::string& path, mode_t forbidden) {
  HEARTH_ASSIGN_OR_RETURN(const std::string place, Locate(path));
  // O_NONBLOCK: a FIFO must not hang the start.
  const int fd = open(place.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  absl::Cleanup closer = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if ((info.st_mode & forbidden) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: permissions %04o, expected none for others, such as 0600", path, info.st_mode & 0777));
  }
  std::string content(kMaxBytes + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t n = read(fd, content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, path);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": larger than ", kMaxBytes, " bytes"));
  }
  content.resize(size);
  return content;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) { return Read(path, 0); }

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  return Read(path, kOpenToOthers);
}

}  // namespace hearth::server
