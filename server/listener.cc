#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth::server {
namespace {

constexpr int kBacklog = 512;
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un local;
};

absl::Status ErrnoError(int error, const std::string& what) {
  const std::string text = absl::StrCat(what, ": ", strerror(error));
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(text);
    default:
      return absl::InternalError(text);
  }
}

bool IsLoopback(const SocketAddress& address) {
  switch (address.any.sa_family) {
    case AF_UNIX:
      return true;
    case AF_INET:
      return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
      return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
    default:
      return false;
  }
}

// Reads a host (a literal, or "localhost") and a port; false when the host is neither.
bool ToSocketAddress(const std::string& host, int port, SocketAddress& address, socklen_t& size) {
  address = {};
  const char* literal = host == "localhost" ? "127.0.0.1" : host.c_str();
  if (inet_pton(AF_INET, literal, &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(static_cast<uint16_t>(port));
    size = sizeof(address.v4);
    return true;
  }
  if (inet_pton(AF_INET6, literal, &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(static_cast<uint16_t>(port));
    size = sizeof(address.v6);
    return true;
  }
  return false;
}

SocketAddress ToUnixAddress(const std::string& path) {
  SocketAddress address = {};
  address.local.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.local.sun_path);  // zeroed, and one byte longer
  return address;
}

absl::StatusOr<ListenAddress> ParseUnix(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return absl::InvalidArgumentError("unix: needs an absolute path, as in unix:/run/x.sock");
  }
  if (path.size() > kMaxUnixPath || path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path of a Unix socket has at most ", kMaxUnixPath, " bytes and no NUL"));
  }
  ListenAddress address;
  address.unix_path = std::string(path);
  return address;
}

// Makes way for a socket at `path`: removes one that nobody listens on.
absl::Status RemoveStale(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();  // bind says what is wrong
  if (!S_ISSOCK(info.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": exists and is not a socket"));
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return ErrnoError(errno, path);
  const SocketAddress address = ToUnixAddress(path);
  const bool refused =
      connect(probe, &address.any, sizeof(address.local)) != 0 && errno == ECONNREFUSED;
  close(probe);
  if (!refused) return absl::AlreadyExistsError(absl::StrCat(path, ": in use"));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, path);
  return absl::OkStatus();
}

absl::Status BindUnix(int fd, const std::string& path, mode_t mode) {
  HEARTH_RETURN_IF_ERROR(RemoveStale(path));
  // Linux creates the file with the mode of the descriptor, less the umask: never wider than
  // `mode`, not even until the chmod.
  fchmod(fd, mode);
  const SocketAddress address = ToUnixAddress(path);
  if (bind(fd, &address.any, sizeof(address.local)) != 0) {
    if (errno != ENOENT) return ErrnoError(errno, path);
    return absl::NotFoundError(
        absl::StrCat(path, ": the directory ", path.substr(0, path.rfind('/') + 1), " is missing"));
  }
  if (chmod(path.c_str(), mode) != 0) {
    const int error = errno;
    unlink(path.c_str());
    return ErrnoError(error, path);
  }
  return absl::OkStatus();
}

absl::Status BindTcp(int fd, const SocketAddress& address, socklen_t size,
                     const std::string& name) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.any.sa_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(fd, &address.any, size) != 0) return ErrnoError(errno, name);
  return absl::OkStatus();
}

}  // namespace

bool ListenAddress::is_loopback() const {
  if (is_unix()) return true;
  SocketAddress address;
  socklen_t size;
  return ToSocketAddress(host, port, address, size) && IsLoopback(address);
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kTls = "tls:";
  if (text.starts_with(kUnix)) return ParseUnix(text.substr(kUnix.size()));
  const bool tls = text.starts_with(kTls);
  if (tls) text.remove_prefix(kTls.size());
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return absl::InvalidArgumentError("expected HOST:PORT, tls:HOST:PORT or unix:PATH");
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  ListenAddress address;
  address.tls = tls;
  address.host = std::string(host);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 ||
      address.port > 65535) {
    return absl::InvalidArgumentError("the port must be within [0, 65535]");
  }
  SocketAddress resolved;
  socklen_t size;
  if (address.host.find('\0') != std::string::npos ||
      !ToSocketAddress(address.host, address.port, resolved, size)) {
    return absl::InvalidArgumentError(
        "the host must be an IPv4 address, an IPv6 address in brackets, or localhost");
  }
  if (bracketed != (resolved.any.sa_family == AF_INET6)) {
    return absl::InvalidArgumentError("an IPv6 address, and only that, stands in brackets");
  }
  return address;
}

absl::StatusOr<Listener> Listener::Bind(const ListenAddress& address, mode_t unix_mode) {
  SocketAddress tcp = {};
  socklen_t size = 0;
  const std::string name =
      address.is_unix() ? address.unix_path : absl::StrCat(address.host, ":", address.port);
  if (!address.is_unix() && !ToSocketAddress(address.host, address.port, tcp, size)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not an address"));
  }
  Listener listener;
  const int family = address.is_unix() ? AF_UNIX : tcp.any.sa_family;
  listener.fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener.fd_ < 0) return ErrnoError(errno, name);
  if (address.is_unix()) {
    HEARTH_RETURN_IF_ERROR(BindUnix(listener.fd_, address.unix_path, unix_mode));
    listener.bound_path_ = address.unix_path;
  } else {
    HEARTH_RETURN_IF_ERROR(BindTcp(listener.fd_, tcp, size, name));
  }
  if (listen(listener.fd_, kBacklog) != 0) return ErrnoError(errno, name);
  listener.is_tls_ = address.tls;
  HEARTH_RETURN_IF_ERROR(listener.Describe());
  return listener;
}

absl::StatusOr<Listener> Listener::Adopt(int fd, bool tls) {
  int listening = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("descriptor ", fd, ": ", strerror(errno)));
  }
  if (!listening || type != SOCK_STREAM) {
    return absl::InvalidArgumentError(
        absl::StrCat("descriptor ", fd, ": not a listening stream socket"));
  }
  Listener listener;
  listener.fd_ = fd;
  listener.is_tls_ = tls;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  HEARTH_RETURN_IF_ERROR(listener.Describe());
  if (tls && listener.is_unix_) {
    return absl::InvalidArgumentError(
        absl::StrCat("descriptor ", fd, ": a Unix socket, expected TCP for TLS"));
  }
  return listener;
}

// Fills name, host, family and port from the bound socket.
absl::Status Listener::Describe() {
  SocketAddress address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd_, &address.any, &size) != 0) return ErrnoError(errno, "getsockname");
  is_loopback_ = IsLoopback(address);
  char text[INET6_ADDRSTRLEN];
  switch (address.any.sa_family) {
    case AF_UNIX:
      is_unix_ = true;
      name_ = absl::StrCat("unix:", std::string(address.local.sun_path,
                                                strnlen(address.local.sun_path, kMaxUnixPath)));
      return absl::OkStatus();
    case AF_INET:
      port_ = ntohs(address.v4.sin_port);
      host_ = inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof(text));
      break;
    case AF_INET6:
      port_ = ntohs(address.v6.sin6_port);
      host_ =
          absl::StrCat("[", inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof(text)), "]");
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("descriptor ", fd_, ": neither TCP nor a Unix socket"));
  }
  name_ = absl::StrCat(is_tls_ ? "tls:" : "", host_, ":", port_);
  return absl::OkStatus();
}

Listener::Listener(Listener&& other) noexcept { *this = std::move(other); }

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this == &other) return *this;
  Close();
  fd_ = std::exchange(other.fd_, -1);
  bound_path_ = std::exchange(other.bound_path_, {});
  name_ = other.name_;
  host_ = other.host_;
  is_unix_ = other.is_unix_;
  is_tls_ = other.is_tls_;
  is_loopback_ = other.is_loopback_;
  port_ = other.port_;
  return *this;
}

Listener::~Listener() { Close(); }

void Listener::Close() {
  // The file first: while it exists somebody listens.
  if (!bound_path_.empty()) unlink(std::exchange(bound_path_, {}).c_str());
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

}  // namespace hearth::server
