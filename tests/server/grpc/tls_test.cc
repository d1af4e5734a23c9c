// gRPC inside TLS: what real clients see.
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/certificates.h"
#include "tests/server/grpc/http2_connection.h"
#include "tests/server/grpc/served_daemon.h"
#include "tests/server/test_file.h"

namespace hearth::server {
namespace {

using std::chrono::seconds;

grpc::Status GetModel(const std::shared_ptr<grpc::Channel>& channel, const std::string& key = "") {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(20));
  if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
  v1::GetModelResponse model;
  return v1::Control::NewStub(channel)->GetModel(&context, {}, &model);
}

TEST(GrpcTls, StreamsAreServedAsWithoutIt) {
  const Certificate certificate;
  ServedDaemon served({.certificate = &certificate});
  ServedDaemon plain;
  const auto generate = [](ServedDaemon& daemon) {
    grpc::ClientContext context;
    return ReadAll(daemon.Inference()->Generate(&context, LongRequest(200)));
  };
  const Stream stream = generate(served);
  EXPECT_TRUE(stream.status.ok()) << stream.status.error_message();
  EXPECT_EQ(stream.tokens(), generate(plain).tokens());
}

TEST(GrpcTls, ClientsThatTrustAnotherOrSpeakPlainAreNotServed) {
  const Certificate certificate;
  const Certificate other;
  ServedDaemon served({.certificate = &certificate});
  EXPECT_EQ(GetModel(served.NewChannel(Trusting(other))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetModel(served.NewChannel(grpc::InsecureChannelCredentials())).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(GetModel(served.NewChannel()).ok());
}

TEST(GrpcTls, G7_TheKeyIsNeededAllTheSame) {
  const Certificate certificate;
  ServedDaemon served({.keys = "right-key\n", .certificate = &certificate});
  EXPECT_EQ(GetModel(served.NewChannel()).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(GetModel(served.NewChannel(), "right-key").ok());
}

TEST(GrpcTls, ClientsShowACertificateWhereOneIsAskedFor) {
  const Certificate server;
  const Certificate authority({.name = "authority"});
  const Certificate known({.name = "known", .issuer = &authority});
  const Certificate stranger({.name = "stranger"});
  ServedDaemon served({.certificate = &server, .client_ca = &authority});
  EXPECT_TRUE(GetModel(served.NewChannel(Trusting(server, &known))).ok());
  EXPECT_EQ(GetModel(served.NewChannel(Trusting(server, &stranger))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetModel(served.NewChannel()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(GrpcTls, F4_B15_ReloadChangesNewConnectionsAndLeavesStreams) {
  const Certificate before;
  ServedDaemon served({.keys = "old-key\n", .certificate = &before});
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer old-key");
  const auto reader = served.Inference()->Generate(&context, LongRequest(1000));
  v1::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));
  const Certificate after;
  after.WriteTo("grpc");
  WriteTestFile("grpc-keys", "new-key\n");
  ASSERT_TRUE(served.daemon().Reload().ok());
  EXPECT_EQ(GetModel(served.NewChannel(Trusting(after)), "old-key").error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(GetModel(served.NewChannel(Trusting(after)), "new-key").ok());
  EXPECT_EQ(GetModel(served.NewChannel(Trusting(before)), "new-key").error_code(),
            grpc::StatusCode::UNAVAILABLE);
  while (reader->Read(&event)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(GrpcTls, F14_WhoShakesNoHandsIsClosedInTime) {
  const Certificate certificate;
  Serving serving{.certificate = &certificate};
  serving.config.mutable_limits()->set_header_timeout_ms(300);
  ServedDaemon served(serving);
  Http2Connection silent(served.port());
  Http2Connection slow(served.port());
  slow.Send("\x16\x03\x01");
  EXPECT_TRUE(silent.AwaitClose(seconds(10)));
  EXPECT_TRUE(slow.AwaitClose(seconds(10)));
  EXPECT_TRUE(GetModel(served.NewChannel()).ok());
}

}  // namespace
}  // namespace hearth::server
