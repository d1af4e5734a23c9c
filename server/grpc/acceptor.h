// Feeds a gRPC server the connections of our own accept loop, through the relay, because gRPC
// 1.51's never accepts again once descriptors ran out. Bounds their number.
#ifndef HEARTH_SERVER_GRPC_ACCEPTOR_H_
#define HEARTH_SERVER_GRPC_ACCEPTOR_H_

#include <grpcpp/server_builder.h>

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "server/accept_loop.h"
#include "server/grpc/relay.h"
#include "server/listener.h"
#include "server/metrics.h"

namespace hearth::server {

class Acceptor {
 public:
  // REQUIRES: before builder.BuildAndStart().
  Acceptor(grpc::ServerBuilder& builder, int max_connections, Metrics& metrics);
  ~Acceptor();

  // REQUIRES: the built server runs, and outlives the time until Close.
  absl::Status Start(std::vector<Listener> listeners, const Relay::Limits& limits,
                     const TlsCredentials& tls);
  // Closes the listeners; connections live on.
  void Close();
  // Lets the last words of a server that has shut down reach its clients, and ends what is left.
  void Stop(std::chrono::milliseconds patience);

  // Empty until started.
  const std::vector<Listener>& listeners() const;

 private:
  void Receive(const Connection& connection);

  const int max_connections_;
  Metrics& metrics_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> grpc_acceptor_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<AcceptLoop> loop_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_ACCEPTOR_H_
