// The one place every call passes before anything is done for it: who calls, and whether the
// daemon takes calls. Only grpc.health.v1 is open to all; gRPC's library serves that itself.
#ifndef HEARTH_SERVER_GRPC_CALL_GATE_H_
#define HEARTH_SERVER_GRPC_CALL_GATE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/daemon.h"
#include "server/grpc/codec.h"
#include "server/grpc/rpc_status.h"
#include "server/grpc/write_loop.h"
#include "server/session.h"

namespace hearth::server {

using ByteStream = grpc::ServerWriteReactor<grpc::ByteBuffer>;

// Safe from any thread.
class CallGate {
 public:
  CallGate(Daemon& daemon, std::shared_ptr<WriteLoop> loop)
      : daemon_(daemon), loop_(std::move(loop)) {}

  // Who calls, for fairness and logs: the name of the key, or the peer's uid or host where no
  // keys are configured. Daemon::CheckPeer's error, or ApiKeys' without exactly one right
  // "authorization: Bearer KEY".
  absl::StatusOr<std::string> Admit(const grpc::ServerContextBase& context) const;

  // A unary method. `name` counts in the metrics.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const char* name,
                                  absl::Status (*method)(Daemon&, const Request&, Response&),
                                  const grpc::ByteBuffer& bytes, grpc::ByteBuffer& reply) {
    Request request;
    Response response;
    absl::Status status = Admit(*context).status();
    if (status.ok()) status = daemon_.Ready();
    if (status.ok()) status = Parse(bytes, request);
    if (status.ok()) status = method(daemon_, request, response);
    if (status.ok()) reply = Serialize(response);
    Count(name, status);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }

  // A method that generates.
  template <typename Request>
  ByteStream* Stream(grpc::CallbackServerContext* context, const char* name,
                     absl::StatusOr<GenerationRequest> (*method)(const Request&),
                     const grpc::ByteBuffer& bytes) {
    Request request;
    const absl::StatusOr<std::string> client = Admit(*context);
    if (!client.ok()) return Refuse(name, client.status());
    const absl::Status parsed = Parse(bytes, request);
    if (!parsed.ok()) return Refuse(name, parsed);
    absl::StatusOr<GenerationRequest> generation = method(request);
    if (!generation.ok()) return Refuse(name, generation.status());
    generation->client = *client;
    return Generate(context, name, *std::move(generation));
  }

 private:
  void Count(const char* name, const absl::Status& status);
  ByteStream* Refuse(const char* name, const absl::Status& status);
  ByteStream* Generate(grpc::CallbackServerContext* context, const char* name,
                       GenerationRequest request);

  Daemon& daemon_;
  const std::shared_ptr<WriteLoop> loop_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_CALL_GATE_H_
