// Stands between clients' sockets and gRPC's: TLS ends here, bytes go through the frame checker on
// their way in, and gRPC reads them from a socket whose peer is named after the client. The name is
// how a call learns whose it is: gRPC 1.51 shows it nothing but its peer's address, and all clients
// of a Unix socket have the same one.
#ifndef HEARTH_SERVER_GRPC_RELAY_H_
#define HEARTH_SERVER_GRPC_RELAY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "server/accept_loop.h"
#include "server/tls.h"

namespace hearth::server {

// One thread for all connections, with two buffers of fixed size each. A connection ends when
// either side closes or fails, when the checker refuses it, when its client takes nothing for the
// write timeout, or when its TLS is not established in time.
class Relay {
 public:
  struct Limits {
    size_t max_header_block;
    std::chrono::milliseconds handshake_timeout;
    std::chrono::milliseconds write_timeout;
  };

  // `tls` is that of TLS listeners, and outlives the relay. `on_count` learns the number of open
  // connections at each change, on any thread.
  static absl::StatusOr<std::unique_ptr<Relay>> Start(const Limits& limits,
                                                      const TlsCredentials& tls,
                                                      std::function<void(int)> on_count);
  ~Relay();  // Stop without patience

  // Takes the client's socket over, also on error, and returns the socket for gRPC, non-blocking.
  absl::StatusOr<int> Connect(const Connection& client);
  int open() const;

  // Waits up to `patience` for connections to end, as those do whose gRPC side has closed, then
  // closes the rest and joins the thread. Connect is not called afterwards.
  void Stop(std::chrono::milliseconds patience);

 private:
  class Link;

  Relay(const Limits& limits, const TlsCredentials& tls, std::function<void(int)> on_count,
        int epoll_fd, int wake_fd);
  void Run();
  void Drop(uint64_t id);
  void DropStalled();
  std::shared_ptr<Link> Find(uint64_t id);

  const Limits limits_;
  const TlsCredentials& tls_;
  const std::function<void(int)> on_count_;
  const int epoll_fd_;
  const int wake_fd_;
  const std::string instance_;  // random: names are one space for all who share the network
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<Link>> links_;  // guarded by mutex_, likewise below
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point stop_at_;
  std::thread thread_;
};

// The client's name in ServerContext::peer() of a relayed call: "uid-1000", "ip-127.0.0.1", or the
// peer itself when it was not relayed.
std::string ClientNameOf(const std::string& peer);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_RELAY_H_
