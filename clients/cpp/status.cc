// Errors of gRPC as absl::Status, and what their details say.
#include <absl/strings/cord.h>

#include <string>

#include "clients/cpp/call.h"
#include "hearth/v1/error_details.pb.h"

namespace hearth {
namespace {

constexpr char kBadRequest[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

template <typename Detail>
std::optional<Detail> DetailOf(const absl::Status& status, const char* type_url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(type_url);
  Detail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

}  // namespace

absl::Status ToStatus(const grpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  v1::RpcStatus rpc;
  if (result.ok() || !rpc.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : rpc.details()) {
    result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return result;
}

std::optional<std::string> FieldOf(const absl::Status& status) {
  const auto bad_request = DetailOf<v1::BadRequest>(status, kBadRequest);
  if (!bad_request || bad_request->field_violations().empty()) return std::nullopt;
  return bad_request->field_violations(0).field();
}

std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status) {
  const auto retry = DetailOf<v1::RetryInfo>(status, kRetryInfo);
  if (!retry) return std::nullopt;
  const google::protobuf::Duration& delay = retry->retry_delay();
  constexpr int64_t kMostSeconds = 1'000'000'000;  // any more is no time to wait
  if (delay.seconds() < 0 || delay.seconds() > kMostSeconds) return std::nullopt;
  return std::chrono::seconds(delay.seconds()) +
         std::chrono::milliseconds(delay.nanos() / 1'000'000);
}

}  // namespace hearth
