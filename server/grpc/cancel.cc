#include "server/grpc/methods.h"

namespace hearth::server::rpc {

absl::Status Cancel(Daemon& daemon, const Caller& caller, const v1::CancelRequest& wire,
                    v1::CancelResponse& response) {
  response.set_found(daemon.CancelTask(wire.id(), caller.client));
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
