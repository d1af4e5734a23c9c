// Server reflection, v1 and v1alpha. gRPC's own is a synchronous service: each silent client of it
// holds a thread, and it asks nobody for a key.
#ifndef HEARTH_SERVER_GRPC_REFLECTION_H_
#define HEARTH_SERVER_GRPC_REFLECTION_H_

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <vector>

#include "server/grpc/call_gate.h"

namespace hearth::server {

// The reflection services to register. `gate` outlives them.
std::vector<std::unique_ptr<grpc::Service>> MakeReflectionServices(CallGate& gate);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_REFLECTION_H_
