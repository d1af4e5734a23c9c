#include "server/http/client_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace hearth::server {
namespace {

using std::chrono::milliseconds;
using Result = ByteStream::Result;

// Small, so that the kernel does not hide a reader that has stalled.
constexpr int kSendBuffer = 64 * 1024;
// A peer that vanished without FIN or RST is given up after so long.
constexpr unsigned kUserTimeoutMs = 20'000;

int RemainingMs(SteadyClock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SteadyClock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000));
}

}  // namespace

ClientSocket::ClientSocket(const Connection& connection, const TlsCredentials& tls,
                           milliseconds write_timeout)
    : connection_(connection), write_timeout_(write_timeout), stream_(connection, tls, kAlpnHttp1) {
  const int fd = connection_.fd;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
  if (connection_.listener->is_unix()) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof(kUserTimeoutMs));
}

bool ClientSocket::Handshake(SteadyClock::time_point deadline) {
  while (SteadyClock::now() < deadline) {
    const Result result = stream_.Handshake();
    if (result != Result::kWait) return result == Result::kMoved;
    WaitFor(stream_.read_event(), deadline);
  }
  return false;
}

ClientSocket::Read ClientSocket::ReadSome(char* data, size_t size, size_t& got,
                                          SteadyClock::time_point deadline, int interrupt_fd) {
  got = 0;
  while (SteadyClock::now() < deadline) {
    // What has come is read before an interruption counts.
    const Result result = stream_.Read(data, size, got);
    if (result == Result::kMoved) return Read::kData;
    if (result != Result::kWait) return Read::kClosed;
    pollfd polled[2] = {{connection_.fd, stream_.read_event(), 0}, {interrupt_fd, POLLIN, 0}};
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
    size_t sent;
    const Result result = stream_.Write(bytes, sent);
    bytes.remove_prefix(sent);
    if (result == Result::kWait) {
      failed_ = !WaitFor(stream_.write_event(), deadline);
    } else {
      failed_ = result != Result::kMoved;
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
  if (failed_) return;
  const SteadyClock::time_point deadline = SteadyClock::now() + limit;
  Result ended;
  while ((ended = stream_.EndWriting()) == Result::kWait) {
    if (!WaitFor(stream_.write_event(), deadline)) return;
  }
  if (ended == Result::kFailed) return;
  char dropped[4096];
  size_t got;
  while (ReadSome(dropped, sizeof(dropped), got, deadline, -1) == Read::kData) {
  }
}

}  // namespace hearth::server
