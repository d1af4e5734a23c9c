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
#include "server/grpc/message_stream.h"
#include "server/grpc/methods.h"
#include "server/grpc/write_loop.h"
#include "server/session.h"

namespace hearth::server {

// When and to whom a method is served: kReady not while the daemon drains, kAdmin to those alone
// who may do what all clients feel.
enum class Access { kReady, kLoaded, kAdmin };

// Safe from any thread.
class CallGate {
 public:
  CallGate(Daemon& daemon, std::shared_ptr<WriteLoop> loop)
      : daemon_(daemon), loop_(std::move(loop)) {}

  // Who calls, for fairness and logs: the name of the key, or the peer's uid or host where no
  // keys are configured. Daemon::CheckPeer's error, or ApiKeys' without exactly one right
  // "authorization: Bearer KEY".
  absl::StatusOr<std::string> Admit(const grpc::ServerContextBase& context) const;

  // A unary method that is answered at once. `name` counts in the metrics, here as below.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const char* name,
                                  absl::Status (*method)(Daemon&, const rpc::Caller&,
                                                         const Request&, Response&),
                                  const grpc::ByteBuffer& bytes, grpc::ByteBuffer& reply,
                                  Access access = Access::kReady) {
    Request request;
    Response response;
    rpc::Caller caller;
    absl::Status status = Open(*context, access, caller);
    if (status.ok()) status = Parse(bytes, request);
    if (status.ok()) status = method(daemon_, caller, request, response);
    if (status.ok()) reply = Serialize(response);
    return Answer(context, name, status);
  }

  // A unary method that is answered when prompts are computed.
  template <typename Request>
  grpc::ServerUnaryReactor* Compute(grpc::CallbackServerContext* context, const char* name,
                                    absl::StatusOr<rpc::PromptJob> (*method)(const Daemon&,
                                                                             const rpc::Caller&,
                                                                             const Request&),
                                    const grpc::ByteBuffer& bytes, grpc::ByteBuffer& reply) {
    Request request;
    rpc::Caller caller;
    absl::Status status = Open(*context, Access::kReady, caller);
    if (status.ok()) status = Parse(bytes, request);
    if (!status.ok()) return Answer(context, name, status);
    absl::StatusOr<rpc::PromptJob> job = method(daemon_, caller, request);
    if (!job.ok()) return Answer(context, name, job.status());
    return Compute(context, name, std::move(caller.client), *std::move(job), reply);
  }

  // A method that generates.
  template <typename Request>
  WriteReactor* Stream(grpc::CallbackServerContext* context, const char* name,
                       absl::StatusOr<GenerationRequest> (*method)(const Request&),
                       const grpc::ByteBuffer& bytes) {
    Request request;
    rpc::Caller caller;
    absl::Status status = Open(*context, Access::kReady, caller);
    if (status.ok()) status = Parse(bytes, request);
    if (!status.ok()) return Refuse(name, status);
    absl::StatusOr<GenerationRequest> generation = method(request);
    if (!generation.ok()) return Refuse(name, generation.status());
    generation->client = std::move(caller.client);
    generation->timeout = caller.timeout;
    return Generate(context, name, *std::move(generation));
  }

  WriteReactor* WatchLoad(grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes);

 private:
  // Admits the caller and looks whether the method is served to it now.
  absl::Status Open(const grpc::ServerContextBase& context, Access access,
                    rpc::Caller& caller) const;
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const char* name,
                                   const absl::Status& status);
  grpc::ServerUnaryReactor* Compute(grpc::CallbackServerContext* context, const char* name,
                                    std::string client, rpc::PromptJob job,
                                    grpc::ByteBuffer& reply);
  void Count(const char* name, const absl::Status& status);
  WriteReactor* Refuse(const char* name, const absl::Status& status);
  WriteReactor* Generate(grpc::CallbackServerContext* context, const char* name,
                         GenerationRequest request);

  Daemon& daemon_;
  const std::shared_ptr<WriteLoop> loop_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_CALL_GATE_H_
