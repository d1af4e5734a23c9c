// The gRPC server of the daemon: hearth.v1, health and reflection on our own listeners.
#ifndef HEARTH_SERVER_GRPC_GRPC_SERVER_H_
#define HEARTH_SERVER_GRPC_GRPC_SERVER_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/daemon.h"
#include "server/listener.h"

namespace hearth::server {

// Threads: a few of gRPC's, one that accepts, one that relays, one that writes; none more for any
// number of clients.
class GrpcServer {
 public:
  // Serves at once; health says NOT_SERVING until SetServing(true). `daemon` outlives it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(Daemon& daemon,
                                                           std::vector<Listener> listeners);
  ~GrpcServer();  // Drain without patience

  // What grpc.health.v1 says of "", hearth.v1.Inference and hearth.v1.Control.
  void SetServing(bool serving);

  // Accepts no more, waits up to `limit` for generations to be written out, then ends every
  // connection. New generations are Daemon::Drain's to refuse.
  void Drain(absl::Duration limit);

  const std::vector<Listener>& listeners() const;  // as bound

 private:
  struct State;
  explicit GrpcServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_GRPC_SERVER_H_
