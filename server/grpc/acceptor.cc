#include "server/grpc/acceptor.h"

#include <grpcpp/security/server_credentials.h>
#include <unistd.h>

#include <utility>

#include "absl/status/statusor.h"
#include "engine/status_macros.h"

namespace hearth::server {

using ConnectionType = grpc::ServerBuilder::experimental_type::ExternalConnectionType;

Acceptor::Acceptor(grpc::ServerBuilder& builder, int max_connections, Metrics& metrics)
    : max_connections_(max_connections),
      metrics_(metrics),
      grpc_acceptor_(builder.experimental().AddExternalConnectionAcceptor(
          ConnectionType::FROM_FD, grpc::InsecureServerCredentials())) {}

Acceptor::~Acceptor() { Close(); }

absl::Status Acceptor::Start(std::vector<Listener> listeners, const Relay::Limits& limits,
                             const TlsCredentials& tls) {
  HEARTH_ASSIGN_OR_RETURN(relay_, Relay::Start(limits, tls, [this](int open) {
                            metrics_.SetConnections("grpc", open);
                          }));
  HEARTH_ASSIGN_OR_RETURN(loop_, AcceptLoop::Start(
                                     std::move(listeners), [this](Connection c) { Receive(c); },
                                     [this] { metrics_.CountShed("grpc"); }));
  return absl::OkStatus();
}

void Acceptor::Close() {
  if (loop_) loop_->Stop();
}

void Acceptor::Stop(std::chrono::milliseconds patience) {
  Close();
  if (relay_) relay_->Stop(patience);
}

const std::vector<Listener>& Acceptor::listeners() const {
  static const std::vector<Listener>* const none = new std::vector<Listener>;
  return loop_ ? loop_->listeners() : *none;
}

void Acceptor::Receive(const Connection& connection) {
  if (relay_->open() >= max_connections_) {
    close(connection.fd);
    metrics_.CountShed("grpc");
    return;
  }
  const absl::StatusOr<int> fd = relay_->Connect(connection);
  if (!fd.ok()) return metrics_.CountShed("grpc");
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = connection.listener->fd();
  parameters.fd = *fd;
  grpc_acceptor_->HandleNewConnection(&parameters);
}

}  // namespace hearth::server
