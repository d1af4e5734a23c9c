#include "server/http/client_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace hearth::server {
namespace {

using std::chrono::milliseconds;

// Small, so that the kernel does not hide a reader that has stalled.
constexpr int kSendBuffer = 64 * 1024;
// A peer that vanished without FIN or RST is given up after so long.
constexpr unsigned kUserTimeoutMs = 20'000;

int RemainingMs(SteadyClock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SteadyClock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000));
}

}  // namespace

ClientSocket::ClientSocket(const Connection& connection, milliseconds write_timeout)
    : connection_(connection), write_timeout_(write_timeout) {
  const int fd = connection_.fd;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
  if (connection_.listener->is_unix()) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof(kUserTimeoutMs));
}

ClientSocket::~ClientSocket() { close(connection_.fd); }

ClientSocket::Read ClientSocket::ReadSome(char* data, size_t size, size_t& got,
                                          SteadyClock::time_point deadline, int interrupt_fd) {
  got = 0;
  while (SteadyClock::now() < deadline) {
    // What has come is read before an interruption counts.
    const ssize_t n = recv(connection_.fd, data, size, MSG_DONTWAIT);
    if (n > 0) {
      got = static_cast<size_t>(n);
      return Read::kData;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) return Read::kClosed;
    pollfd polled[2] = {{connection_.fd, POLLIN, 0}, {interrupt_fd, POLLIN, 0}};
    const int ready = poll(polled, 2, RemainingMs(deadline));
    if (ready > 0 && polled[0].revents == 0) return Read::kInterrupted;
  }
  return Read::kTimeout;
}

bool ClientSocket::WaitFor(short events, SteadyClock::time_point deadline) const {
  while (true) {
    pollfd polled = {connection_.fd, events, 0};
    if (poll(&polled, 1, RemainingMs(deadline)) > 0) return true;
    if (SteadyClock::now() >= deadline) return false;
  }
}

bool ClientSocket::Write(std::string_view bytes) {
  const SteadyClock::time_point deadline = SteadyClock::now() + write_timeout_;
  while (!failed_ && !bytes.empty()) {
    const ssize_t n = send(connection_.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      failed_ = !WaitFor(POLLOUT, deadline);
    } else if (errno != EINTR) {
      failed_ = true;
    }
    failed_ = failed_ || (!bytes.empty() && SteadyClock::now() >= deadline);
  }
  return !failed_;
}

ClientSocket::Peer ClientSocket::peer() const {
  pollfd polled = {connection_.fd, POLLRDHUP, 0};
  poll(&polled, 1, 0);
  if (failed_ || (polled.revents & (POLLERR | POLLHUP)) != 0) return Peer::kGone;
  return (polled.revents & POLLRDHUP) != 0 ? Peer::kHalfClosed : Peer::kOpen;
}

void ClientSocket::Linger(milliseconds limit) {
  if (failed_ || shutdown(connection_.fd, SHUT_WR) != 0) return;
  const SteadyClock::time_point deadline = SteadyClock::now() + limit;
  char dropped[4096];
  size_t got;
  while (ReadSome(dropped, sizeof(dropped), got, deadline, -1) == Read::kData) {
  }
}

}  // namespace hearth::server
