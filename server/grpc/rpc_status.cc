#include "server/grpc/rpc_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "hearth/v1/error_details.pb.h"
#include "server/status.h"

namespace hearth::server {
namespace {

void AddDetail(const char* type, const google::protobuf::Message& message, v1::RpcStatus& to) {
  google::protobuf::Any& any = *to.add_details();
  any.set_type_url(absl::StrCat("type.googleapis.com/google.rpc.", type));
  any.set_value(message.SerializeAsString());
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const HttpError error = ToHttpError(status);
  v1::RpcStatus rpc;
  rpc.set_code(status.raw_code());
  rpc.set_message(GrpcMessage(status));
  if (absl::IsInvalidArgument(status) && !error.param.empty()) {
    v1::BadRequest bad_request;
    v1::BadRequest::FieldViolation& violation = *bad_request.add_field_violations();
    violation.set_field(error.param);
    violation.set_description(std::string(status.message()));
    AddDetail("BadRequest", bad_request, rpc);
  }
  if (error.retry_after_seconds > 0) {
    v1::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(error.retry_after_seconds);
    AddDetail("RetryInfo", retry, rpc);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(rpc.code()), rpc.message(),
                      rpc.details().empty() ? std::string() : rpc.SerializeAsString());
}

}  // namespace hearth::server
