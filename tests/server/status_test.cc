#include "server/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hearth::server {
namespace {

using absl::StatusCode;

struct Row {
  StatusCode code;
  int http;
  const char* type;
  const char* error_code;
  ExitCode exit;
};
constexpr Row kRows[] = {
    {StatusCode::kCancelled, 499, "server_error", "cancelled", kExitSoftware},
    {StatusCode::kUnknown, 500, "server_error", "", kExitSoftware},
    {StatusCode::kInvalidArgument, 400, "invalid_request_error", "", kExitNoInput},
    {StatusCode::kDeadlineExceeded, 504, "server_error", "timeout", kExitSoftware},
    {StatusCode::kNotFound, 404, "invalid_request_error", "", kExitNoInput},
    {StatusCode::kAlreadyExists, 400, "invalid_request_error", "", kExitSoftware},
    {StatusCode::kPermissionDenied, 403, "permission_error", "", kExitPermission},
    {StatusCode::kResourceExhausted, 429, "rate_limit_error", "", kExitMemory},
    {StatusCode::kFailedPrecondition, 400, "invalid_request_error", "", kExitConfig},
    {StatusCode::kAborted, 500, "server_error", "", kExitSoftware},
    {StatusCode::kOutOfRange, 400, "invalid_request_error", "", kExitSoftware},
    {StatusCode::kUnimplemented, 400, "invalid_request_error", "unsupported", kExitSoftware},
    {StatusCode::kInternal, 500, "server_error", "", kExitSoftware},
    {StatusCode::kUnavailable, 503, "server_error", "overloaded", kExitSoftware},
    {StatusCode::kDataLoss, 500, "server_error", "", kExitData},
    {StatusCode::kUnauthenticated, 401, "invalid_request_error", "invalid_api_key", kExitSoftware},
};

TEST(Status, EveryCodeHasItsPlace) {
  ASSERT_EQ(std::size(kRows), 16u) << "gRPC's codes 1 to 16";
  for (int i = 0; i < 16; ++i) {
    const Row& row = kRows[i];
    EXPECT_EQ(static_cast<int>(row.code), i + 1);
    const absl::Status status(row.code, "what happened");
    const HttpError error = ToHttpError(status);
    EXPECT_EQ(error.http_status, row.http) << status;
    EXPECT_EQ(error.type, row.type) << status;
    EXPECT_EQ(error.code, row.error_code) << status;
    EXPECT_EQ(error.param, "") << status;
    EXPECT_EQ(error.message, "what happened") << status;
    EXPECT_EQ(LoadExitCode(status), row.exit) << status;
  }
  EXPECT_EQ(LoadExitCode(absl::OkStatus()), kExitOk);
}

// SDKs try 408, 409, 429 and 5xx again: a permanent refusal must be none of them.
TEST(Status, PermanentRefusalsAreNotRetried) {
  for (const StatusCode code :
       {StatusCode::kInvalidArgument, StatusCode::kOutOfRange, StatusCode::kFailedPrecondition,
        StatusCode::kAlreadyExists, StatusCode::kUnimplemented, StatusCode::kUnauthenticated,
        StatusCode::kPermissionDenied, StatusCode::kNotFound}) {
    const int status = ToHttpError(absl::Status(code, "")).http_status;
    EXPECT_TRUE(status >= 400 && status < 500 && status != 408 && status != 409 && status != 429)
        << status;
  }
}

TEST(Status, RetryAfterOnlyWhereItHelps) {
  const auto seconds = [](const absl::Status& status) {
    return ToHttpError(status).retry_after_seconds;
  };
  const absl::Status full = absl::ResourceExhaustedError("full");
  EXPECT_EQ(seconds(full), 1);
  EXPECT_EQ(seconds(WithRetryAfter(full, absl::Milliseconds(1001))), 2);
  EXPECT_EQ(seconds(WithRetryAfter(full, absl::ZeroDuration())), 1);
  EXPECT_EQ(seconds(WithRetryAfter(full, absl::InfiniteDuration())), 3600);
  EXPECT_EQ(seconds(WithRetryAfter(absl::UnavailableError(""), absl::Seconds(5))), 5);
  EXPECT_EQ(seconds(WithRetryAfter(absl::InvalidArgumentError(""), absl::Seconds(5))), 0);
}

TEST(Status, ParameterAndCodeTravelWithTheStatus) {
  const absl::Status status =
      InvalidParam("messages[2].role", "must be one of system, user, assistant", "bad_role");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  const HttpError error = ToHttpError(status);
  EXPECT_EQ(error.param, "messages[2].role");
  EXPECT_EQ(error.code, "bad_role");
  EXPECT_EQ(error.message, "messages[2].role: must be one of system, user, assistant");
  EXPECT_EQ(GrpcMessage(status), error.message);
}

TEST(Status, OkStaysOk) { EXPECT_TRUE(WithCode(WithParam(absl::OkStatus(), "x"), "y").ok()); }

TEST(Status, BodyIsAnOpenAiErrorObject) {
  const auto body = nlohmann::json::parse(ErrorBody(ToHttpError(InvalidParam("n", "1 to 4"))));
  EXPECT_EQ(body, (nlohmann::json{{"error",
                                   {{"message", "n: 1 to 4"},
                                    {"type", "invalid_request_error"},
                                    {"param", "n"},
                                    {"code", nullptr}}}}));
  const auto bare = nlohmann::json::parse(ErrorBody(ToHttpError(absl::InternalError("x"))));
  EXPECT_TRUE(bare["error"]["param"].is_null());
  EXPECT_TRUE(bare["error"]["code"].is_null());
}

TEST(Status, BodyIsValidJsonWhateverTheMessageHolds) {
  const std::string text = ErrorBody(ToHttpError(absl::InternalError("\xff\"\n\xc3")));
  EXPECT_FALSE(nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false).is_discarded());
}

}  // namespace
}  // namespace hearth::server
