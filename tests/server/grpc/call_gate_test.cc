// Who is let in: keys, reflection, health.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/client_context.h>
#include <unistd.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/server/captured_log.h"
#include "tests/server/grpc/raw_call.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

std::unique_ptr<grpc::ClientContext> WithKey(const std::string& authorization) {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!authorization.empty()) context->AddMetadata("authorization", authorization);
  return context;
}

// What a tool learns by reflection, with the stubs of either version.
template <typename Service, typename Request, typename Response>
class Explorer {
 public:
  Explorer(const std::shared_ptr<grpc::Channel>& channel, const std::string& authorization)
      : stub_(Service::NewStub(channel)),
        context_(WithKey(authorization)),
        stream_(stub_->ServerReflectionInfo(context_.get())) {}

  std::optional<Response> Ask(const Request& request) {
    Response response;
    if (!stream_->Write(request) || !stream_->Read(&response)) return std::nullopt;
    return response;
  }

  std::set<std::string> Services() {
    Request request;
    request.set_list_services("*");
    std::set<std::string> names;
    const auto response = Ask(request);
    if (!response) return names;
    for (const auto& s : response->list_services_response().service()) names.insert(s.name());
    return names;
  }

  // Every method of every service, as "/service/Method", from the descriptors alone.
  std::set<std::string> Methods() {
    google::protobuf::DescriptorPool pool;
    std::set<std::string> methods;
    for (const std::string& service : Services()) {
      Request request;
      request.set_file_containing_symbol(service);
      const auto response = Ask(request);
      EXPECT_TRUE(response);
      for (const auto& bytes : response->file_descriptor_response().file_descriptor_proto()) {
        google::protobuf::FileDescriptorProto file;
        EXPECT_TRUE(file.ParseFromString(bytes));
        if (pool.FindFileByName(file.name()) == nullptr) {
          EXPECT_NE(pool.BuildFile(file), nullptr) << file.name();
        }
      }
      const auto* descriptor = pool.FindServiceByName(service);
      EXPECT_NE(descriptor, nullptr) << service;
      for (int i = 0; descriptor != nullptr && i < descriptor->method_count(); ++i) {
        methods.insert(absl::StrCat("/", service, "/", descriptor->method(i)->name()));
      }
    }
    return methods;
  }

  grpc::Status Finish() {
    stream_->WritesDone();
    Response response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }

 private:
  std::unique_ptr<typename Service::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

namespace v1_reflection = grpc::reflection::v1;
namespace v1alpha_reflection = grpc::reflection::v1alpha;
using ExplorerV1 = Explorer<v1_reflection::ServerReflection, v1_reflection::ServerReflectionRequest,
                            v1_reflection::ServerReflectionResponse>;
using ExplorerV1Alpha =
    Explorer<v1alpha_reflection::ServerReflection, v1alpha_reflection::ServerReflectionRequest,
             v1alpha_reflection::ServerReflectionResponse>;

TEST(CallGate, G7_EveryMethodButHealthNeedsTheKey) {
  ServedDaemon served({.keys = "right-key\n"});
  const auto channel = served.NewChannel();
  ExplorerV1 explorer(channel, "Bearer right-key");
  const std::set<std::string> methods = explorer.Methods();
  EXPECT_TRUE(explorer.Finish().ok());
  EXPECT_GE(methods.size(), 10u);
  for (const std::string& method : methods) {
    if (method == "/grpc.health.v1.Health/Watch") continue;  // open to all, and goes on for ever
    const auto code = [&](const std::string& authorization) {
      while (true) {  // until the failures so far are forgiven
        auto context = WithKey(authorization);
        if (method == "/hearth.v1.Control/WatchLoad") {  // with a key it goes on for ever
          context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
        }
        const grpc::Status status = RawCall(channel, method, {""}, std::move(context));
        if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) return status.error_code();
        usleep(20'000);
      }
    };
    if (method == "/grpc.health.v1.Health/Check") {
      EXPECT_EQ(code(""), grpc::StatusCode::OK);
    } else {
      EXPECT_EQ(code(""), grpc::StatusCode::UNAUTHENTICATED) << method;
      EXPECT_EQ(code("Bearer wrong-key"), grpc::StatusCode::UNAUTHENTICATED) << method;
    }
    EXPECT_NE(code("Bearer right-key"), grpc::StatusCode::UNAUTHENTICATED) << method;
  }
}

TEST(CallGate, G7_B8_OnlyOneRightKeyOpens) {
  ServedDaemon served({.keys = "# keys\nfirst-key\nsecond-key\n"});
  const auto channel = served.NewChannel();
  const auto attempt = [&](const std::string& authorization) {
    return RawCall(channel, "/hearth.v1.Control/GetModel", {""}, WithKey(authorization))
        .error_code();
  };
  for (const char* right :
       {"Bearer first-key", "Bearer second-key", "bearer first-key", "BEARER second-key"}) {
    EXPECT_EQ(attempt(right), grpc::StatusCode::OK) << right;
  }
  for (const char* wrong : {"", "Bearer", "Bearer ", "first-key", "Basic first-key",
                            "Bearer first-kez", "Bearer first-ke", "Bearer first-key2",
                            "Bearer  first-key", "Bearer # keys", "Bearerfirst-key"}) {
    EXPECT_EQ(attempt(wrong), grpc::StatusCode::UNAUTHENTICATED) << wrong;
  }
}

TEST(CallGate, B16_FloodOfWrongKeysIsLimitedOnBothTransportsTogether) {
  ServedDaemon served({.keys = "right-key\n"});
  const auto channel = served.NewChannel();
  const auto attempt = [&](const std::string& authorization) {
    return RawCall(channel, "/hearth.v1.Control/GetModel", {""}, WithKey(authorization));
  };
  grpc::Status status;
  for (int i = 0; i < 1000 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED; ++i) {
    status = attempt("Bearer guess");
    ASSERT_FALSE(status.ok());
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(attempt("Bearer right-key").ok());
  // What HTTP asks.
  absl::Status elsewhere;
  for (int i = 0; i < 20 && !absl::IsResourceExhausted(elsewhere); ++i) {
    attempt("Bearer guess");
    elsewhere = served.daemon().keys().Authenticate("guess").status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(elsewhere)) << elsewhere;
}

TEST(CallGate, B10_TwoKeysAreOneTooMany) {
  ServedDaemon served({.keys = "right-key\n"});
  auto context = WithKey("Bearer right-key");
  context->AddMetadata("authorization", "Bearer right-key");
  EXPECT_EQ(RawCall(served.NewChannel(), "/hearth.v1.Control/GetModel", {""}, std::move(context))
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST(CallGate, G8_B17_OtherUsersOfTheSocketAreRefusedAllButHealth) {
  Serving serving{.unix_path = absl::StrCat(testing::TempDir(), "/uids.", getpid())};
  serving.config.mutable_listen()->add_allowed_uids(int64_t{getuid()} + 1);
  ServedDaemon served(serving);
  const auto channel = served.NewChannel();
  for (const char* method : {"/hearth.v1.Control/GetModel", "/hearth.v1.Control/GetLoad",
                             "/hearth.v1.Inference/Generate"}) {
    EXPECT_EQ(RawCall(channel, method, {""}, WithKey("")).error_code(),
              grpc::StatusCode::PERMISSION_DENIED)
        << method;
  }
  ExplorerV1 explorer(channel, "");
  EXPECT_TRUE(explorer.Services().empty());
  EXPECT_EQ(explorer.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(RawCall(channel, "/grpc.health.v1.Health/Check", {""}, WithKey("")).ok());
}

TEST(CallGate, B17_TheListedUserIsServed) {
  Serving serving{.unix_path = absl::StrCat(testing::TempDir(), "/uids.", getpid())};
  serving.config.mutable_listen()->add_allowed_uids(getuid());
  ServedDaemon served(serving);
  EXPECT_TRUE(RawCall(served.NewChannel(), "/hearth.v1.Control/GetModel", {""}, WithKey("")).ok());
}

constexpr char kDrain[] = "/hearth.v1.Control/Drain";
constexpr char kFlushCache[] = "/hearth.v1.Control/FlushCache";

TEST(CallGate, WhatAllClientsFeelIsNotForAClientOverTcp) {
  int stops = 0;
  ServedDaemon served({.on_stop = [&stops] { ++stops; }});
  for (const char* method : {kDrain, kFlushCache}) {
    const grpc::Status status = RawCall(served.NewChannel(), method, {""}, WithKey("Bearer any"));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << method;
    EXPECT_THAT(status.error_message(), testing::HasSubstr("auth.admin_key_file"));
  }
  EXPECT_FALSE(served.daemon().draining());
  EXPECT_EQ(stops, 0);
}

TEST(CallGate, TheDaemonsOwnUserDrainsItOnce) {
  int stops = 0;
  ServedDaemon served({.unix_path = absl::StrCat(testing::TempDir(), "/admin.", getpid()),
                       .on_stop = [&stops] { ++stops; }});
  EXPECT_TRUE(RawCall(served.NewChannel(), kFlushCache, {""}).ok());
  EXPECT_TRUE(RawCall(served.NewChannel(), kDrain, {""}).ok());
  EXPECT_TRUE(RawCall(served.NewChannel(), kDrain, {""}).ok());
  EXPECT_TRUE(served.daemon().draining());
  EXPECT_EQ(stops, 1);
}

TEST(CallGate, ADaemonThatLoadsIsNotDrained) {
  int stops = 0;
  ServedDaemon served({.unix_path = absl::StrCat(testing::TempDir(), "/admin.", getpid()),
                       .load = false,
                       .on_stop = [&stops] { ++stops; }});
  EXPECT_EQ(RawCall(served.NewChannel(), kDrain, {""}).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stops, 0);
}

TEST(CallGate, AdminKeysOpenMoreThanTheRest) {
  for (const char* keys : {"user-key\n", ""}) {
    ServedDaemon served({.keys = keys, .admin_keys = "admin-key\n"});
    const auto channel = served.NewChannel();
    const auto code = [&](const char* method, const std::string& authorization) {
      return RawCall(channel, method, {""}, WithKey(authorization)).error_code();
    };
    EXPECT_EQ(code(kFlushCache, "Bearer admin-key"), grpc::StatusCode::OK);
    EXPECT_EQ(code("/hearth.v1.Control/GetModel", "Bearer admin-key"), grpc::StatusCode::OK);
    EXPECT_EQ(code(kFlushCache, "Bearer user-key"), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(code(kFlushCache, ""), *keys != '\0' ? grpc::StatusCode::UNAUTHENTICATED
                                                   : grpc::StatusCode::PERMISSION_DENIED);
  }
}

TEST(CallGate, WhereThereAreAdminKeysTheSocketAloneIsNotEnough) {
  ServedDaemon served({.admin_keys = "admin-key\n",
                       .unix_path = absl::StrCat(testing::TempDir(), "/admin.", getpid())});
  const auto channel = served.NewChannel();
  EXPECT_EQ(RawCall(channel, kFlushCache, {""}).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(RawCall(channel, kFlushCache, {""}, WithKey("Bearer admin-key")).ok());
}

TEST(CallGate, NamesOfPinsAreTheClientsOwn) {
  ServedDaemon served({.keys = "first-key\nsecond-key\n"});
  const auto channel = served.NewChannel();
  const auto call = [&](const char* method, const google::protobuf::Message& request,
                        const char* key) {
    return RawCall(channel, method, {request.SerializeAsString()}, WithKey(key)).error_code();
  };
  v1::PinPrefixRequest pin;
  pin.set_name("p");
  pin.set_text(std::string(200, 'x') + " and so on");
  v1::UnpinPrefixRequest unpin;
  unpin.set_name("p");
  EXPECT_EQ(call("/hearth.v1.Control/PinPrefix", pin, "Bearer first-key"), grpc::StatusCode::OK);
  const auto pinned = [&] { return served.daemon().engine().stats().blocks_pinned; };
  EXPECT_GT(pinned(), 0);
  EXPECT_EQ(call("/hearth.v1.Control/UnpinPrefix", unpin, "Bearer second-key"),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_GT(pinned(), 0);
  EXPECT_EQ(call("/hearth.v1.Control/UnpinPrefix", unpin, "Bearer first-key"),
            grpc::StatusCode::OK);
}

TEST(CallGate, B16_G5_G14_LogsHoldNoKeyNoContentAndNoClientsFault) {
  CapturedLog log;
  {
    ServedDaemon served({.keys = "right-key\n"});
    const auto channel = served.NewChannel();
    v1::GenerateRequest request = LongRequest(4);
    request.set_text("a prompt of secrets");
    const std::string bytes = request.SerializeAsString();
    const char* generate = "/hearth.v1.Inference/Generate";
    EXPECT_TRUE(RawCall(channel, generate, {bytes}, WithKey("Bearer right-key")).ok());
    for (int i = 0; i < 30; ++i) RawCall(channel, generate, {bytes}, WithKey("Bearer wrong-key"));
    for (const std::string& wrong : {bytes + "\xff", std::string("\x12\x09secret-\xc0\x80", 11)}) {
      EXPECT_FALSE(RawCall(channel, generate, {wrong}, WithKey("Bearer right-key")).ok());
    }
    request.mutable_options()->mutable_constraint()->set_regex("(secrets");
    EXPECT_EQ(RawCall(channel, generate, {request.SerializeAsString()}, WithKey("Bearer right-key"))
                  .error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
    const auto inference = v1::Inference::NewStub(channel);
    for (const bool deadline : {false, true}) {
      const auto context = WithKey("Bearer right-key");
      if (deadline) {
        context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(30));
      }
      const auto reader = inference->Generate(context.get(), LongRequest(1900, 4));
      v1::GenerateEvent event;
      while (reader->Read(&event)) {
        if (!deadline) context->TryCancel();
      }
      EXPECT_FALSE(reader->Finish().ok());
    }
    EXPECT_TRUE(served.AwaitIdle());
  }
  for (const char* secret : {"secret", "right-key", "wrong-key", "error:", "warning:"}) {
    EXPECT_THAT(log.text(), testing::Not(testing::HasSubstr(secret)));
  }
}

TEST(CallGate, WithoutKeysAnyoneMayCall) {
  ServedDaemon served;
  EXPECT_TRUE(
      RawCall(served.NewChannel(), "/hearth.v1.Control/GetModel", {""}, WithKey("Bearer whatever"))
          .ok());
}

const std::set<std::string> kServices = {
    "hearth.v1.Inference", "hearth.v1.Control", "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"};

TEST(Reflection, G22_BothVersionsListTheServices) {
  ServedDaemon served;
  ExplorerV1 v1_explorer(served.NewChannel(), "");
  ExplorerV1Alpha v1alpha_explorer(served.NewChannel(), "");
  EXPECT_EQ(v1_explorer.Services(), kServices);
  EXPECT_EQ(v1alpha_explorer.Services(), kServices);
  EXPECT_EQ(v1_explorer.Methods(), v1alpha_explorer.Methods());
  EXPECT_TRUE(v1_explorer.Finish().ok());
  EXPECT_TRUE(v1alpha_explorer.Finish().ok());
}

TEST(Reflection, UnknownThingsAreNotFound) {
  ServedDaemon served;
  ExplorerV1 explorer(served.NewChannel(), "");
  v1_reflection::ServerReflectionRequest request;
  request.set_file_containing_symbol("no.such.Thing");
  EXPECT_EQ(explorer.Ask(request)->error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_file_by_filename("/etc/passwd");
  EXPECT_EQ(explorer.Ask(request)->error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_extension_number(1);
  EXPECT_EQ(explorer.Ask(request)->error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.clear_message_request();
  EXPECT_EQ(explorer.Ask(request)->error_response().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_file_by_filename("hearth/v1/inference.proto");
  EXPECT_EQ(explorer.Ask(request)->file_descriptor_response().file_descriptor_proto_size(), 1);
}

TEST(Reflection, G22_IsOffByDefaultBeyondLoopback) {
  Serving serving{.host = "0.0.0.0"};
  {
    ServedDaemon served(serving);
    ExplorerV1 explorer(served.NewChannel(), "");
    EXPECT_TRUE(explorer.Services().empty());
    EXPECT_EQ(explorer.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  }
  serving.config.mutable_listen()->set_grpc_reflection(true);
  ServedDaemon served(serving);
  EXPECT_EQ(ExplorerV1(served.NewChannel(), "").Services(), kServices);
}

TEST(Reflection, G22_IsOnByDefaultOnAUnixSocket) {
  ServedDaemon served({.unix_path = absl::StrCat(testing::TempDir(), "/reflection.", getpid())});
  EXPECT_EQ(ExplorerV1(served.NewChannel(), "").Services(), kServices);
}

TEST(Reflection, G22_IsOffByConfig) {
  Serving serving;
  serving.config.mutable_listen()->set_grpc_reflection(false);
  ServedDaemon served(serving);
  ExplorerV1 v1_explorer(served.NewChannel(), "");
  EXPECT_TRUE(v1_explorer.Services().empty());
  EXPECT_EQ(v1_explorer.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  ExplorerV1Alpha v1alpha_explorer(served.NewChannel(), "");
  EXPECT_TRUE(v1alpha_explorer.Services().empty());
  EXPECT_EQ(v1alpha_explorer.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

class HealthTest : public testing::Test {
 protected:
  HealthCheckResponse::ServingStatus Check(const std::string& service) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    status_ = health_->Check(&context, request, &response);
    return response.status();
  }

  ServedDaemon served_{{.keys = "right-key\n", .load = false}};
  std::unique_ptr<Health::Stub> health_ = Health::NewStub(served_.NewChannel());
  grpc::Status status_;
};

TEST_F(HealthTest, ServesOnlyWhileTheModelIsLoaded) {
  for (const char* service : {"", "hearth.v1.Inference", "hearth.v1.Control"}) {
    EXPECT_EQ(Check(service), HealthCheckResponse::NOT_SERVING) << service;
  }
  served_.Load();
  for (const char* service : {"", "hearth.v1.Inference", "hearth.v1.Control"}) {
    EXPECT_EQ(Check(service), HealthCheckResponse::SERVING) << service;
  }
  served_.server().SetServing(false);
  EXPECT_EQ(Check(""), HealthCheckResponse::NOT_SERVING);
  Check("no.such.Service");
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthTest, WatchTellsOfChangesAndDoesNotHoldUpDrain) {
  grpc::ClientContext context;
  const auto watch = health_->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  served_.Load();
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  const auto begin = std::chrono::steady_clock::now();
  served_.server().Drain(absl::Seconds(30));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  while (watch->Read(&response)) {
  }
  EXPECT_FALSE(watch->Finish().ok());
}

}  // namespace
}  // namespace hearth::server
