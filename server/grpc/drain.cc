#include "server/grpc/methods.h"

namespace hearth::server::rpc {

absl::Status Drain(Daemon& daemon, const Caller&, const v1::DrainRequest&,
                   v1::DrainResponse& response) {
  response.set_under_way(daemon.Stop());
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
