// Files the daemon is configured by: small, and read whole.
#ifndef HEARTH_SERVER_SMALL_FILE_H_
#define HEARTH_SERVER_SMALL_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace hearth::server {

// A regular file of at most 1 MiB, judged and read through one descriptor. "credential:NAME" is
// the file NAME that systemd's LoadCredential= has put into $CREDENTIALS_DIRECTORY.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// Likewise; InvalidArgument when it is open to others.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_SMALL_FILE_H_
