// The services of hearth.v1: each method through the gate to its function in methods.h.
#ifndef HEARTH_SERVER_GRPC_SERVICE_H_
#define HEARTH_SERVER_GRPC_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "server/grpc/call_gate.h"

namespace hearth::server {

// `gate` outlives them.
std::unique_ptr<grpc::Service> MakeInferenceService(CallGate& gate);
std::unique_ptr<grpc::Service> MakeControlService(CallGate& gate);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_SERVICE_H_
