#include "server/accept_loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hearth::server {
namespace {

// After an error that waiting may cure; a connection in the backlog keeps poll() returning.
constexpr int kPauseMs = 20;

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::optional<uid_t> PeerUid(int fd) {
  ucred peer;
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace

std::string PeerName(const Connection& connection) {
  if (connection.peer_uid) return absl::StrCat("uid-", *connection.peer_uid);
  if (connection.listener->is_unix()) return "uid-unknown";
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[INET6_ADDRSTRLEN] = "unknown";
  if (getpeername(connection.fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    const void* host =
        address.ss_family == AF_INET6
            ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr)
            : &reinterpret_cast<sockaddr_in*>(&address)->sin_addr;
    inet_ntop(address.ss_family, host, text, sizeof text);
  }
  return absl::StrCat("ip-", text);
}

AcceptLoop::AcceptLoop(std::vector<Listener> listeners, Receiver receiver,
                       std::function<void()> on_shed)
    : listeners_(std::move(listeners)),
      receiver_(std::move(receiver)),
      on_shed_(std::move(on_shed)) {}

absl::StatusOr<std::unique_ptr<AcceptLoop>> AcceptLoop::Start(std::vector<Listener> listeners,
                                                              Receiver receiver,
                                                              std::function<void()> on_shed) {
  std::unique_ptr<AcceptLoop> loop(
      new AcceptLoop(std::move(listeners), std::move(receiver), std::move(on_shed)));
  loop->wake_fd_ = eventfd(0, EFD_CLOEXEC);
  loop->reserve_fd_ = OpenReserve();
  if (loop->wake_fd_ < 0 || loop->reserve_fd_ < 0) {
    return absl::InternalError(absl::StrCat("accept loop: ", strerror(errno)));
  }
  try {
    loop->thread_ = std::thread(&AcceptLoop::Run, loop.get());
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("accept loop: ", error.what()));
  }
  return loop;
}

AcceptLoop::~AcceptLoop() {
  Stop();
  if (wake_fd_ >= 0) close(wake_fd_);
  if (reserve_fd_ >= 0) close(reserve_fd_);
}

void AcceptLoop::Stop() {
  if (thread_.joinable()) {
    eventfd_write(wake_fd_, 1);
    thread_.join();
  }
  for (Listener& listener : listeners_) listener.Close();
}

void AcceptLoop::Run() {
  std::vector<pollfd> polled;
  for (const Listener& listener : listeners_) polled.push_back({listener.fd(), POLLIN, 0});
  polled.push_back({wake_fd_, POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0) {
      if (errno != EINTR) Pause();  // ENOMEM
      continue;
    }
    if (polled.back().revents != 0) return;
    for (size_t i = 0; i < listeners_.size(); ++i) {
      if (polled[i].revents != 0) AcceptFrom(listeners_[i]);
    }
  }
}

// Takes one connection, so that no listener starves another. No errno ends the loop: most concern
// the one connection (ECONNABORTED, EPROTO, EPERM, …), the rest passes.
void AcceptLoop::AcceptFrom(const Listener& listener) {
  const int fd = accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    receiver_({fd, &listener, listener.is_unix() ? PeerUid(fd) : std::nullopt});
    return;
  }
  switch (errno) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
      return;
    case EMFILE:
    case ENFILE:
      if (!ShedOne(listener)) Pause();
      return;
    default:
      Pause();
  }
}

// Refuses one waiting connection with the descriptor kept for it.
bool AcceptLoop::ShedOne(const Listener& listener) {
  if (reserve_fd_ >= 0) close(std::exchange(reserve_fd_, -1));
  const int fd = accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    on_shed_();  // first: the client sees the close at once
    close(fd);
  }
  reserve_fd_ = OpenReserve();  // another thread may have been faster; then the next try pauses
  return fd >= 0 && reserve_fd_ >= 0;
}

// Waits a moment, or until Stop.
void AcceptLoop::Pause() {
  pollfd wake = {wake_fd_, POLLIN, 0};
  poll(&wake, 1, kPauseMs);
}

}  // namespace hearth::server
