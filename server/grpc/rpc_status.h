// Our errors as gRPC sends them.
#ifndef HEARTH_SERVER_GRPC_RPC_STATUS_H_
#define HEARTH_SERVER_GRPC_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace hearth::server {

// Code and message of server/status.h, with google.rpc.BadRequest or RetryInfo as details where
// the error names a field or a time.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_RPC_STATUS_H_
