// The one place that maps absl::Status to HTTP, gRPC and exit codes, and back from what a
// request got wrong to the parameter's name.
#ifndef HEARTH_SERVER_STATUS_H_
#define HEARTH_SERVER_STATUS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace hearth::server {

// InvalidArgument about one request field, named as the client spelt it ("messages[2].role").
// `message` is fixed text and the allowed range; never the client's bytes.
absl::Status InvalidParam(std::string_view param, std::string_view message,
                          std::string_view code = "");

// Attaches the OpenAI error code ("context_length_exceeded"), the parameter, a Retry-After.
absl::Status WithParam(absl::Status status, std::string_view param);
absl::Status WithCode(absl::Status status, std::string_view code);
absl::Status WithRetryAfter(absl::Status status, absl::Duration after);

// An error as HTTP and OpenAI's SDKs see it.
struct HttpError {
  int http_status;
  std::string type;
  std::string param;  // empty: null
  std::string code;   // empty: null
  std::string message;
  int retry_after_seconds = 0;  // 0: no header
};
HttpError ToHttpError(const absl::Status& status);
// {"error":{"message","type","param","code"}}
std::string ErrorBody(const HttpError& error);
// {"type":"error","error":{"type","message"},"request_id"}, with the types of Anthropic's API. An
// event within a stream has no id.
std::string AnthropicErrorBody(const HttpError& error, std::string_view request_id = "");

// The message a gRPC client sees: "param: message". The code is the same number in both.
std::string GrpcMessage(const absl::Status& status);

// sysexits(3) numbers: 64 usage, 65 bad model file, 66 no such file, 70 internal, 71 OS error,
// 75 does not fit in memory, 77 no permission, 78 configuration.
enum ExitCode {
  kExitOk = 0,
  kExitUsage = 64,
  kExitData = 65,
  kExitNoInput = 66,
  kExitSoftware = 70,
  kExitOs = 71,
  kExitMemory = 75,
  kExitPermission = 77,
  kExitConfig = 78,
};
// Of a failed model load.
ExitCode LoadExitCode(const absl::Status& status);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_STATUS_H_
