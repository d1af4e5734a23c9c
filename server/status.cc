#include "server/status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hearth::server {
namespace {

constexpr char kParamUrl[] = "hearth/param";
constexpr char kCodeUrl[] = "hearth/code";
constexpr char kRetryUrl[] = "hearth/retry_after_ms";

absl::Status WithPayload(absl::Status status, const char* url, std::string_view value) {
  status.SetPayload(url, absl::Cord(std::string(value)));  // of no effect on OK
  return status;
}

std::string PayloadOf(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : "";
}

struct HttpRow {
  absl::StatusCode code;
  int http_status;
  const char* type;
  const char* default_code;
};
// The official SDKs try 408, 409, 429 and every 5xx again: what stays refused is another 4xx.
constexpr HttpRow kHttpRows[] = {
    {absl::StatusCode::kInvalidArgument, 400, "invalid_request_error", ""},
    {absl::StatusCode::kOutOfRange, 400, "invalid_request_error", ""},
    {absl::StatusCode::kFailedPrecondition, 400, "invalid_request_error", ""},
    {absl::StatusCode::kAlreadyExists, 400, "invalid_request_error", ""},
    {absl::StatusCode::kUnimplemented, 400, "invalid_request_error", "unsupported"},
    {absl::StatusCode::kUnauthenticated, 401, "invalid_request_error", "invalid_api_key"},
    {absl::StatusCode::kPermissionDenied, 403, "permission_error", ""},
    {absl::StatusCode::kNotFound, 404, "invalid_request_error", ""},
    {absl::StatusCode::kResourceExhausted, 429, "rate_limit_error", ""},
    {absl::StatusCode::kCancelled, 499, "server_error", "cancelled"},  // the client has gone
    {absl::StatusCode::kUnavailable, 503, "server_error", "overloaded"},
    {absl::StatusCode::kDeadlineExceeded, 504, "server_error", "timeout"},
};
constexpr HttpRow kOtherErrors = {absl::StatusCode::kInternal, 500, "server_error", ""};

const HttpRow& HttpRowOf(absl::StatusCode code) {
  const auto* row = std::find_if(std::begin(kHttpRows), std::end(kHttpRows),
                                 [code](const HttpRow& r) { return r.code == code; });
  return row == std::end(kHttpRows) ? kOtherErrors : *row;
}

const char* AnthropicType(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return http_status < 500 ? "invalid_request_error" : "api_error";
  }
}

int RetryAfterSeconds(const absl::Status& status, int http_status) {
  if (http_status != 429 && http_status != 503) return 0;
  int64_t ms = 0;
  if (!absl::SimpleAtoi(PayloadOf(status, kRetryUrl), &ms)) return 1;
  constexpr int64_t kLongest = 3600;
  return static_cast<int>((std::clamp<int64_t>(ms, 1, kLongest * 1000) + 999) / 1000);
}

}  // namespace

absl::Status InvalidParam(std::string_view param, std::string_view message, std::string_view code) {
  absl::Status status = WithParam(absl::InvalidArgumentError(std::string(message)), param);
  return code.empty() ? status : WithCode(std::move(status), code);
}

absl::Status WithParam(absl::Status status, std::string_view param) {
  return WithPayload(std::move(status), kParamUrl, param);
}

absl::Status WithCode(absl::Status status, std::string_view code) {
  return WithPayload(std::move(status), kCodeUrl, code);
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration after) {
  return WithPayload(std::move(status), kRetryUrl, absl::StrCat(absl::ToInt64Milliseconds(after)));
}

HttpError ToHttpError(const absl::Status& status) {
  const HttpRow& row = HttpRowOf(status.code());
  HttpError error{.http_status = row.http_status,
                  .type = row.type,
                  .param = PayloadOf(status, kParamUrl),
                  .code = PayloadOf(status, kCodeUrl),
                  .message = GrpcMessage(status),
                  .retry_after_seconds = RetryAfterSeconds(status, row.http_status)};
  if (error.code.empty()) error.code = row.default_code;
  return error;
}

std::string ErrorBody(const HttpError& error) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  const Json body = {{"error",
                      {{"message", error.message},
                       {"type", error.type},
                       {"param", or_null(error.param)},
                       {"code", or_null(error.code)}}}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string AnthropicErrorBody(const HttpError& error, std::string_view request_id) {
  using Json = nlohmann::ordered_json;
  Json body = {{"type", "error"},
               {"error", {{"type", AnthropicType(error.http_status)}, {"message", error.message}}}};
  if (!request_id.empty()) body["request_id"] = request_id;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string GrpcMessage(const absl::Status& status) {
  const std::string param = PayloadOf(status, kParamUrl);
  return absl::StrCat(param, param.empty() ? "" : ": ", status.message());
}

ExitCode LoadExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:  // the path names no regular file
    case absl::StatusCode::kNotFound:
      return kExitNoInput;
    case absl::StatusCode::kPermissionDenied:
      return kExitPermission;
    case absl::StatusCode::kResourceExhausted:
      return kExitMemory;
    case absl::StatusCode::kDataLoss:
      return kExitData;
    case absl::StatusCode::kFailedPrecondition:
      return kExitConfig;  // an option the file or CPU
                           // cannot meet
    default:
      return kExitSoftware;
  }
}

}  // namespace hearth::server
