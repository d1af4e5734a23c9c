#include "server/grpc/call_gate.h"

#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/status_macros.h"
#include "server/grpc/generation_stream.h"
#include "server/grpc/load_stream.h"
#include "server/grpc/prompt_call.h"
#include "server/grpc/relay.h"
#include "server/grpc/rpc_status.h"

namespace hearth::server {
namespace {

constexpr absl::string_view kScheme = "Bearer ";

// The client's own deadline, from now; nullopt when it set none.
std::optional<absl::Duration> Timeout(const grpc::ServerContextBase& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return std::nullopt;
  return absl::FromChrono(deadline - std::chrono::system_clock::now());
}

// The key of "authorization: Bearer KEY"; empty without exactly one such field.
std::string BearerKey(const grpc::ServerContextBase& context) {
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first == last || std::next(first) != last) return "";
  const std::string value(first->second.data(), first->second.size());
  return absl::StartsWithIgnoreCase(value, kScheme) ? value.substr(kScheme.size()) : "";
}

// Ends a call that generates nothing.
class RefusedStream final : public WriteReactor {
 public:
  explicit RefusedStream(const absl::Status& status) { Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

absl::StatusOr<std::string> CallGate::Admit(const grpc::ServerContextBase& context) const {
  std::string peer = ClientNameOf(context.peer());
  HEARTH_RETURN_IF_ERROR(daemon_.CheckPeer(peer));
  if (daemon_.keys().empty()) return peer;
  return daemon_.keys().Authenticate(BearerKey(context));
}

absl::Status CallGate::Open(const grpc::ServerContextBase& context, Access access,
                            rpc::Caller& caller) const {
  HEARTH_ASSIGN_OR_RETURN(caller.client, Admit(context));
  if (access == Access::kAdmin) {
    HEARTH_RETURN_IF_ERROR(daemon_.CheckAdmin(ClientNameOf(context.peer()), BearerKey(context)));
  }
  caller.timeout = Timeout(context);
  return access != Access::kReady && daemon_.loaded() ? absl::OkStatus() : daemon_.Ready();
}

grpc::ServerUnaryReactor* CallGate::Answer(grpc::CallbackServerContext* context, const char* name,
                                           const absl::Status& status) {
  Count(name, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* CallGate::Compute(grpc::CallbackServerContext* context, const char* name,
                                            std::string client, rpc::PromptJob job,
                                            grpc::ByteBuffer& reply) {
  absl::StatusOr<std::shared_ptr<PromptRun>> run =
      PromptRun::Start(daemon_, std::move(client), std::move(job.requests));
  if (!run.ok()) return Answer(context, name, run.status());
  return PromptCall::Start(daemon_, loop_, context, *std::move(run), std::move(job.answer), reply,
                           name);
}

WriteReactor* CallGate::WatchLoad(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer& bytes) {
  static constexpr char kName[] = "Control/WatchLoad";
  v1::WatchLoadRequest request;
  rpc::Caller caller;
  absl::Status status = Open(*context, Access::kLoaded, caller);
  if (status.ok()) status = Parse(bytes, request);
  if (!status.ok()) return Refuse(kName, status);
  const absl::StatusOr<std::chrono::milliseconds> interval = rpc::WatchLoad(request);
  if (!interval.ok()) return Refuse(kName, interval.status());
  return LoadStream::Start(daemon_, loop_, context, *interval, kName);
}

void CallGate::Count(const char* name, const absl::Status& status) {
  daemon_.metrics().CountRequest("grpc", name, absl::StatusCodeToString(status.code()));
}

WriteReactor* CallGate::Refuse(const char* name, const absl::Status& status) {
  Count(name, status);
  return new RefusedStream(status);
}

WriteReactor* CallGate::Generate(grpc::CallbackServerContext* context, const char* name,
                                 GenerationRequest request) {
  absl::StatusOr<std::shared_ptr<Session>> session = Session::Start(daemon_, std::move(request));
  if (!session.ok()) return Refuse(name, session.status());
  return GenerationStream::Start(daemon_, loop_, context, *std::move(session), name);
}

}  // namespace hearth::server
