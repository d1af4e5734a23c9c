// Accepts connections on several listeners until stopped, whatever accept() answers. The one
// accept loop of HTTP and gRPC: cpp-httplib's ends for good on ECONNABORTED or ENFILE, and
// gRPC's never accepts again after running out of descriptors.
#ifndef HEARTH_SERVER_ACCEPT_LOOP_H_
#define HEARTH_SERVER_ACCEPT_LOOP_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/listener.h"

namespace hearth::server {

// A connected socket and who is on the other end.
struct Connection {
  int fd;                         // owned by the receiver; blocking, CLOEXEC
  const Listener* listener;       // lives as long as the AcceptLoop
  std::optional<uid_t> peer_uid;  // SO_PEERCRED, Unix sockets only
};

// Runs its own thread. With no descriptors left it sheds connections through a reserve
// descriptor, so that clients are refused at once instead of hanging.
class AcceptLoop {
 public:
  using Receiver = std::function<void(Connection)>;

  // `receiver` runs on the loop's thread and must not block.
  static absl::StatusOr<std::unique_ptr<AcceptLoop>> Start(std::vector<Listener> listeners,
                                                           Receiver receiver);
  ~AcceptLoop();  // Stop

  // Closes the listeners and joins the thread. Connections handed out live on.
  void Stop();

  const std::vector<Listener>& listeners() const { return listeners_; }
  uint64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  uint64_t shed() const { return shed_.load(std::memory_order_relaxed); }

 private:
  AcceptLoop(std::vector<Listener> listeners, Receiver receiver);
  void Run();
  void AcceptFrom(const Listener& listener);
  bool ShedOne(const Listener& listener);
  void Pause();

  std::vector<Listener> listeners_;
  Receiver receiver_;
  int wake_fd_ = -1;     // eventfd; readable once stopping
  int reserve_fd_ = -1;  // given up for a moment to shed a connection on EMFILE
  std::atomic<uint64_t> accepted_{0};
  std::atomic<uint64_t> shed_{0};
  std::thread thread_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_ACCEPT_LOOP_H_
