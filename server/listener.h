// A bound, listening socket: TCP, TCP that carries TLS, or Unix.
#ifndef HEARTH_SERVER_LISTENER_H_
#define HEARTH_SERVER_LISTENER_H_

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace hearth::server {

// "127.0.0.1:8080", "[::1]:8080", "localhost:0", "tls:0.0.0.0:8443", "unix:/run/hearth/http.sock".
struct ListenAddress {
  std::string host;  // without brackets; empty for Unix sockets
  int port = 0;
  std::string unix_path;
  bool tls = false;

  bool is_unix() const { return !unix_path.empty(); }
  bool is_loopback() const;  // Unix sockets too
};
// InvalidArgument says what is wrong with the text.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

class Listener {
 public:
  // Binds and listens. A stale Unix socket is replaced, one that somebody listens on is
  // AlreadyExists, as is a port in use.
  static absl::StatusOr<Listener> Bind(const ListenAddress& address, mode_t unix_mode);
  // Takes over a listening socket from systemd (sd_listen_fds). InvalidArgument for TLS over Unix.
  static absl::StatusOr<Listener> Adopt(int fd, bool tls = false);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();  // Close

  // Stops listening and removes the Unix socket; the rest can still be asked.
  void Close();

  int fd() const { return fd_; }  // -1 once closed
  // As bound, with the port that port 0 became: "127.0.0.1:41231", "tls:[::]:8443", "unix:/x".
  const std::string& name() const { return name_; }
  const std::string& host() const { return host_; }  // "127.0.0.1", "[::]"; empty for Unix sockets
  bool is_unix() const { return is_unix_; }
  bool is_tls() const { return is_tls_; }
  bool is_loopback() const { return is_loopback_; }
  int port() const { return port_; }  // 0 for Unix sockets

 private:
  Listener() = default;
  absl::Status Describe();

  int fd_ = -1;
  std::string name_;
  std::string host_;
  std::string bound_path_;  // to remove
  bool is_unix_ = false;
  bool is_tls_ = false;
  bool is_loopback_ = false;
  int port_ = 0;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_LISTENER_H_
