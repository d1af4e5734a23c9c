// Accepts connections on several listeners until stopped, whatever accept() answers. The one
// accept loop of HTTP and gRPC: cpp-httplib's ends for good on ECONNABORTED or ENFILE, and
// gRPC's never accepts again after running out of descriptors.
#ifndef HEARTH_SERVER_ACCEPT_LOOP_H_
#define HEARTH_SERVER_ACCEPT_LOOP_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
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

// Who is on the other end, as far as it can be told apart: "uid-1000", "ip-127.0.0.1".
std::string PeerName(const Connection& connection);

// Runs its own thread. With no descriptors left it sheds connections through a reserve
// descriptor, so that clients are refused at once instead of hanging.
class AcceptLoop {
 public:
  using Receiver = std::function<void(Connection)>;

  // `receiver` and `on_shed`, which learns of each connection shed, run on the loop's thread and
  // must not block.
  static absl::StatusOr<std::unique_ptr<AcceptLoop>> Start(std::vector<Listener> listeners,
                                                           Receiver receiver,
                                                           std::function<void()> on_shed);
  ~AcceptLoop();  // Stop

  // Closes the listeners and joins the thread. Connections handed out live on.
  void Stop();

  const std::vector<Listener>& listeners() const { return listeners_; }

 private:
  AcceptLoop(std::vector<Listener> listeners, Receiver receiver, std::function<void()> on_shed);
  void Run();
  void AcceptFrom(const Listener& listener);
  bool ShedOne(const Listener& listener);
  void Pause();

  std::vector<Listener> listeners_;
  const Receiver receiver_;
  const std::function<void()> on_shed_;
  int wake_fd_ = -1;     // eventfd; readable once stopping
  int reserve_fd_ = -1;  // given up for a moment to shed a connection on EMFILE
  std::thread thread_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_ACCEPT_LOOP_H_
