// The client's end of one connection: reads and writes with deadlines, and whether it is there.
#ifndef HEARTH_SERVER_HTTP_CLIENT_SOCKET_H_
#define HEARTH_SERVER_HTTP_CLIENT_SOCKET_H_

#include <chrono>
#include <cstddef>
#include <string_view>

#include "server/accept_loop.h"
#include "server/byte_stream.h"
#include "server/tls.h"

namespace hearth::server {

using SteadyClock = std::chrono::steady_clock;

// One thread at a time.
class ClientSocket {
 public:
  enum class Read { kData, kTimeout, kInterrupted, kClosed };
  // kHalfClosed: it will send no more (FIN), but may be reading; or it is gone and nothing we
  // wrote since has been answered with RST yet.
  enum class Peer { kOpen, kHalfClosed, kGone };

  // Takes the connection's descriptor over. `tls` is that of TLS listeners.
  ClientSocket(const Connection& connection, const TlsCredentials& tls,
               std::chrono::milliseconds write_timeout);
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  // What TLS needs before the first request; false when it fails or takes longer.
  bool Handshake(SteadyClock::time_point deadline);

  // Waits for bytes until `deadline`, or until `interrupt_fd` (-1: none) is readable, and reads at
  // most `size` of them.
  Read ReadSome(char* data, size_t size, size_t& got, SteadyClock::time_point deadline,
                int interrupt_fd);
  // Writes all within the write timeout; a stalled reader fails it. After a failure every write
  // fails.
  bool Write(std::string_view bytes);
  bool failed() const { return failed_; }

  Peer peer() const;

  // Ends our side and drops what still comes, for a moment: closing at once would send RST, which
  // can overtake the reply.
  void Linger(std::chrono::milliseconds limit);

  const Connection& connection() const { return connection_; }

 private:
  bool WaitFor(short events, SteadyClock::time_point deadline) const;

  const Connection connection_;
  const std::chrono::milliseconds write_timeout_;
  ByteStream stream_;
  bool failed_ = false;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_CLIENT_SOCKET_H_
