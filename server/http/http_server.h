// The OpenAI-compatible HTTP API on its listeners.
#ifndef HEARTH_SERVER_HTTP_HTTP_SERVER_H_
#define HEARTH_SERVER_HTTP_HTTP_SERVER_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/accept_loop.h"
#include "server/daemon.h"
#include "server/http/gate.h"

namespace hearth::server {

// One thread accepts; each connection, up to limits.max_connections, has one of its own with a
// small stack. Connections that get no slot beyond (see ConnectionSlots) get 503 at once.
class HttpServer {
 public:
  // Serves from now on; a loading daemon too. REQUIRES: `daemon` outlives the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Daemon& daemon,
                                                           std::vector<Listener> listeners);
  ~HttpServer();  // Drain with no time

  // Stops accepting, ends idle connections, lets running replies finish within `limit`, then cuts
  // the rest. Blocks until no connection is left.
  void Drain(absl::Duration limit);

  const std::vector<Listener>& listeners() const { return accept_loop_->listeners(); }
  int open_connections() const;

 private:
  struct Served;

  HttpServer(Daemon& daemon, int drain_fd);
  void Receive(const Connection& connection);
  bool Admit(const Connection& connection);
  void Serve(const Connection& connection);
  void Forget();
  static void* RunThread(void* served);

  Daemon& daemon_;
  GateState state_;
  std::unique_ptr<AcceptLoop> accept_loop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;  // connections whose thread has not ended
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_HTTP_SERVER_H_
