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
#include "server/grpc/relay.h"

namespace hearth::server {
namespace {

constexpr absl::string_view kScheme = "Bearer ";

// The client's own deadline, from now; nullopt when it set none.
std::optional<absl::Duration> Timeout(const grpc::ServerContextBase& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return std::nullopt;
  return absl::FromChrono(deadline - std::chrono::system_clock::now());
}

// Ends a call that generates nothing.
class RefusedStream final : public ByteStream {
 public:
  explicit RefusedStream(const absl::Status& status) { Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

absl::StatusOr<std::string> CallGate::Admit(const grpc::ServerContextBase& context) const {
  std::string peer = ClientNameOf(context.peer());
  HEARTH_RETURN_IF_ERROR(daemon_.CheckPeer(peer));
  if (daemon_.keys().empty()) return peer;
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  std::string value;  // of two, neither counts
  if (first != last && std::next(first) == last) {
    value.assign(first->second.data(), first->second.size());
  }
  const bool bearer = absl::StartsWithIgnoreCase(value, kScheme);
  return daemon_.keys().Authenticate(bearer ? value.substr(kScheme.size()) : "");
}

void CallGate::Count(const char* name, const absl::Status& status) {
  daemon_.metrics().CountRequest("grpc", name, absl::StatusCodeToString(status.code()));
}

ByteStream* CallGate::Refuse(const char* name, const absl::Status& status) {
  Count(name, status);
  return new RefusedStream(status);
}

ByteStream* CallGate::Generate(grpc::CallbackServerContext* context, const char* name,
                               GenerationRequest request) {
  request.timeout = Timeout(*context);
  absl::StatusOr<std::shared_ptr<Session>> session = Session::Start(daemon_, std::move(request));
  if (!session.ok()) return Refuse(name, session.status());
  return GenerationStream::Start(daemon_, loop_, context, *std::move(session), name);
}

}  // namespace hearth::server
