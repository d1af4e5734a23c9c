#include "server/grpc/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/byte_stream.h"
#include "server/grpc/frame_checker.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;
using Result = ByteStream::Result;

// A whole record of TLS: nothing is left inside OpenSSL, where epoll does not see it.
constexpr size_t kBufferBytes = 16 * 1024;
static_assert(kBufferBytes >= SSL3_RT_MAX_PLAIN_LENGTH);
constexpr int kBuffersPerTurn = 4;       // of one connection, before the others have theirs
constexpr int kSocketBytes = 64 * 1024;  // larger kernel buffers hide a stalled reader
constexpr int kUserTimeoutMs = 20'000;
constexpr char kNamePrefix[] = "hearth/";
constexpr uint64_t kWakeId = 0;

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);  // best effort: all are refinements
}

void PrepareClient(const Connection& client) {
  fcntl(client.fd, F_SETFL, fcntl(client.fd, F_GETFL) | O_NONBLOCK);
  SetOption(client.fd, SOL_SOCKET, SO_SNDBUF, kSocketBytes);
  if (client.listener->is_unix()) return;
  SetOption(client.fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(client.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

// Gives `fd` an abstract address, which its peer's getpeername() shows.
bool NameSocket(int fd, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) return false;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0;
}

// One direction. Holds at most a buffer of bytes that were read and not yet written.
class Flow {
 public:
  bool empty() const { return begin_ == end_; }
  bool ended() const { return ended_; }
  bool wants_read() const { return empty() && !ended_; }
  // When its reader last took something, or had everything.
  Clock::time_point moved() const { return moved_; }

  // Moves what it can, within a turn's share. False when the connection is over. `check` sees
  // bytes before they pass.
  template <typename Check>
  bool Move(ByteStream& from, ByteStream& to, const Check& check) {
    for (int i = 0; i < kBuffersPerTurn; ++i) {
      if (empty() && !Read(from, check)) return false;
      if (empty()) return true;
      size_t sent;
      const Result result = to.Write({buffer_.data() + begin_, end_ - begin_}, sent);
      if (result != Result::kMoved) return result == Result::kWait;
      begin_ += sent;
      moved_ = Clock::now();
    }
    return true;
  }

 private:
  template <typename Check>
  bool Read(ByteStream& from, const Check& check) {
    if (ended_) return true;
    size_t got;
    const Result result = from.Read(buffer_.data(), buffer_.size(), got);
    if (result != Result::kMoved) {
      ended_ = result == Result::kEnd;
      return result != Result::kFailed;
    }
    begin_ = 0;
    end_ = got;
    moved_ = Clock::now();
    return check(std::string_view(buffer_.data(), end_));
  }

  std::array<char, kBufferBytes> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
  Clock::time_point moved_ = Clock::now();
};

}  // namespace

// A client and its socket to gRPC. Used by the relay's thread only, once it is in the map.
class Relay::Link {
 public:
  Link(const Connection& client, const TlsCredentials& tls, int inner, size_t max_header_block)
      : client_(client, tls, kAlpnHttp2), inner_(inner), checker_(max_header_block, Clock::now()) {}

  // False when the connection is over.
  bool Move() {
    const auto checked = [this](std::string_view bytes) {
      return checker_.Check(bytes, Clock::now()).ok();
    };
    const auto trusted = [](std::string_view) { return true; };
    if (!up_.Move(client_, inner_, checked)) return false;
    if (!down_.Move(inner_, client_, trusted)) return false;
    return !(down_.ended() && down_.empty()) && !(up_.ended() && up_.empty());
  }

  bool Stalled(Clock::time_point now, const Limits& limits) const {
    if (!client_.established()) return now - began_ > limits.handshake_timeout;
    return !down_.empty() && now - down_.moved() > limits.write_timeout;
  }

  // Asks for what the two flows wait for.
  bool Watch(int epoll_fd, uint64_t id) {
    return WatchOne(epoll_fd, id, client_, up_, down_, client_watched_) &&
           WatchOne(epoll_fd, id, inner_, down_, up_, inner_watched_);
  }

 private:
  // A descriptor that nothing is wanted of is taken out: it could be closed at its other end, and
  // epoll would say so for ever. One of the two is always in.
  static bool WatchOne(int epoll_fd, uint64_t id, const ByteStream& end, const Flow& from_it,
                       const Flow& to_it, bool& watched) {
    epoll_event event{};
    if (from_it.wants_read()) event.events |= static_cast<uint32_t>(end.read_event());
    if (!to_it.empty()) event.events |= static_cast<uint32_t>(end.write_event());
    event.data.u64 = id;
    const bool wanted = event.events != 0;
    if (!wanted && !watched) return true;
    const int operation = !wanted ? EPOLL_CTL_DEL : watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    watched = wanted;
    return epoll_ctl(epoll_fd, operation, end.fd(), &event) == 0;
  }

  const Clock::time_point began_ = Clock::now();
  ByteStream client_;
  ByteStream inner_;
  FrameChecker checker_;
  Flow up_;    // client to gRPC
  Flow down_;  // gRPC to client
  bool client_watched_ = false;
  bool inner_watched_ = false;
};

absl::StatusOr<std::unique_ptr<Relay>> Relay::Start(const Limits& limits, const TlsCredentials& tls,
                                                    std::function<void(int)> on_count) {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event wake{.events = EPOLLIN, .data = {.u64 = kWakeId}};
  if (epoll_fd < 0 || wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &wake) != 0) {
    const absl::Status status = absl::ErrnoToStatus(errno, "gRPC relay");
    if (epoll_fd >= 0) close(epoll_fd);
    if (wake_fd >= 0) close(wake_fd);
    return status;
  }
  return std::unique_ptr<Relay>(new Relay(limits, tls, std::move(on_count), epoll_fd, wake_fd));
}

Relay::Relay(const Limits& limits, const TlsCredentials& tls, std::function<void(int)> on_count,
             int epoll_fd, int wake_fd)
    : limits_(limits),
      tls_(tls),
      on_count_(std::move(on_count)),
      epoll_fd_(epoll_fd),
      wake_fd_(wake_fd),
      instance_(absl::StrFormat("%016x", absl::Uniform<uint64_t>(absl::BitGen()))),
      thread_([this] { Run(); }) {}

Relay::~Relay() {
  Stop(std::chrono::milliseconds(0));
  close(epoll_fd_);
  close(wake_fd_);
}

absl::StatusOr<int> Relay::Connect(const Connection& client) {
  PrepareClient(client);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    close(client.fd);
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  for (int fd : pair) SetOption(fd, SOL_SOCKET, SO_SNDBUF, kSocketBytes);
  auto link = std::make_shared<Link>(client, tls_, pair[0], limits_.max_header_block);
  std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t id = next_id_++;
  const std::string name = absl::StrCat(kNamePrefix, instance_, "/", id, "/", PeerName(client));
  links_.emplace(id, link);  // before its first event
  if (!NameSocket(pair[0], name) || !link->Watch(epoll_fd_, id)) {
    links_.erase(id);
    close(pair[1]);
    return absl::ErrnoToStatus(errno, "gRPC relay");
  }
  on_count_(static_cast<int>(links_.size()));
  return pair[1];
}

int Relay::open() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(links_.size());
}

void Relay::Stop(std::chrono::milliseconds patience) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    stop_at_ = Clock::now() + patience;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Relay::Link> Relay::Find(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : it->second;
}

void Relay::Drop(uint64_t id) {
  std::shared_ptr<Link> last;  // closes its sockets unlocked
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = links_.find(id);
  if (it == links_.end()) return;
  last = std::move(it->second);
  links_.erase(it);
  on_count_(static_cast<int>(links_.size()));
}

void Relay::DropStalled() {
  const Clock::time_point now = Clock::now();
  std::vector<std::pair<uint64_t, std::shared_ptr<Link>>> links;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    links.assign(links_.begin(), links_.end());
  }
  for (const auto& [id, link] : links) {
    if (link->Stalled(now, limits_)) Drop(id);
  }
}

void Relay::Run() {
  std::array<epoll_event, 64> events;
  const std::chrono::milliseconds period =
      std::min(limits_.handshake_timeout, limits_.write_timeout) / 4;
  Clock::time_point next_look = Clock::now();
  while (true) {
    int wait_ms = -1;  // an idle daemon does not wake up
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_ && (links_.empty() || Clock::now() >= stop_at_)) {
        links_.clear();
        on_count_(0);
        return;
      }
      if (!links_.empty()) wait_ms = stopping_ ? 10 : static_cast<int>(period.count());
    }
    const int count = epoll_wait(epoll_fd_, events.data(), events.size(), wait_ms);
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[i].data.u64;
      const std::shared_ptr<Link> link = Find(id);
      if (link == nullptr) {
        uint64_t ignored;  // the wake-up, or a link that ended in this round
        [[maybe_unused]] const ssize_t n = read(wake_fd_, &ignored, sizeof ignored);
      } else if (!link->Move() || !link->Watch(epoll_fd_, id)) {
        Drop(id);
      }
    }
    if (Clock::now() >= next_look) {
      DropStalled();
      next_look = Clock::now() + period;
    }
  }
}

std::string ClientNameOf(const std::string& peer) {
  const size_t slash = peer.rfind('/');
  if (!absl::StartsWith(peer, absl::StrCat("unix-abstract:", kNamePrefix))) return peer;
  return peer.substr(slash + 1);
}

}  // namespace hearth::server
