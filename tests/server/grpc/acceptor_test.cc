// How connections come in: Unix sockets, the cap, and no descriptors left.
#include "server/grpc/acceptor.h"

#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/grpc/relay.h"
#include "tests/server/grpc/http2_connection.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

grpc::Status GetLoad(v1::Control::Stub& control) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  v1::GetLoadResponse load;
  return control.GetLoad(&context, {}, &load);
}

TEST(Acceptor, ServesUnixSockets) {
  const std::string path = absl::StrCat(testing::TempDir(), "grpc-", getpid(), ".sock");
  {
    ServedDaemon served({.unix_path = path});
    EXPECT_EQ(served.address(), "unix:" + path);
    const auto inference = served.Inference();
    grpc::ClientContext context;
    EXPECT_TRUE(ReadAll(inference->Generate(&context, LongRequest(8))).status.ok());
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(Acceptor, CallsAreCountedByWhoMakesThem) {
  EXPECT_EQ(ClientNameOf("unix-abstract:hearth/42/7/uid-1000"), "uid-1000");
  EXPECT_EQ(ClientNameOf("unix-abstract:hearth/42/7/ip-127.0.0.1"), "ip-127.0.0.1");
  EXPECT_EQ(ClientNameOf("ipv4:127.0.0.1:80"), "ipv4:127.0.0.1:80");
  EXPECT_EQ(ClientNameOf(""), "");
}

// Tells each caller what gRPC knows of it.
class PeerService final : public v1::Control::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest*,
                                     v1::GetModelResponse* response) override {
    response->set_id(ClientNameOf(context->peer()));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::string PeerSeenThrough(const ListenAddress& address) {
  PeerService service;
  Metrics metrics;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const TlsCredentials none;
  Acceptor acceptor(builder, /*max_connections=*/4, metrics);
  const auto server = builder.BuildAndStart();
  auto listener = Listener::Bind(address, 0600);
  EXPECT_TRUE(listener.ok()) << listener.status();
  std::vector<Listener> listeners;
  listeners.push_back(*std::move(listener));
  EXPECT_TRUE(acceptor
                  .Start(std::move(listeners),
                         {.max_header_block = 16384,
                          .handshake_timeout = std::chrono::milliseconds(1000),
                          .write_timeout = std::chrono::milliseconds(1000)},
                         none)
                  .ok());
  const auto control = v1::Control::NewStub(
      grpc::CreateChannel(acceptor.listeners()[0].name(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::GetModelResponse model;
  const grpc::Status status = control->GetModel(&context, {}, &model);
  EXPECT_TRUE(status.ok()) << status.error_message();
  server->Shutdown(std::chrono::system_clock::now());
  acceptor.Stop(std::chrono::milliseconds(0));
  return model.id();
}

TEST(Acceptor, G8_CallsKnowTheUidOfAUnixClient) {
  const std::string path = absl::StrCat(testing::TempDir(), "peer-", getpid(), ".sock");
  EXPECT_EQ(PeerSeenThrough({.host = "", .port = 0, .unix_path = path}),
            absl::StrCat("uid-", getuid()));
}

TEST(Acceptor, CallsKnowTheHostOfATcpClient) {
  EXPECT_EQ(PeerSeenThrough({.host = "127.0.0.1", .port = 0, .unix_path = ""}), "ip-127.0.0.1");
}

TEST(Acceptor, G16_ConnectionsBeyondTheCapAreClosedAndComeBack) {
  Serving serving;
  serving.config.mutable_limits()->set_max_connections(2);
  ServedDaemon served(serving);
  const auto first = served.Control();
  auto second = served.Control();
  ASSERT_TRUE(GetLoad(*first).ok());
  ASSERT_TRUE(GetLoad(*second).ok());
  const auto third = served.Control();
  EXPECT_EQ(GetLoad(*third).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(GetLoad(*first).ok());
  second.reset();
  EXPECT_TRUE(Eventually([&] { return GetLoad(*third).ok(); }));
}

// Holds every descriptor that is left.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = std::min<rlim_t>(before_.rlim_cur, 512);
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) held_.push_back(fd);
  }
  ~NoDescriptors() {
    for (int fd : held_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_;
  std::vector<int> held_;
};

TEST(Acceptor, F10_RecoversFromRunningOutOfDescriptors) {
  ServedDaemon served;
  const auto before = served.Control();
  ASSERT_TRUE(GetLoad(*before).ok());
  std::vector<int> sockets;
  for (int i = 0; i < 5; ++i) {
    sockets.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }
  sockaddr_storage address;
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(served.server().listeners()[0].fd(), reinterpret_cast<sockaddr*>(&address),
                        &size),
            0);
  {
    NoDescriptors none;
    for (int fd : sockets) connect(fd, reinterpret_cast<sockaddr*>(&address), size);
    usleep(200'000);
    EXPECT_TRUE(GetLoad(*before).ok());  // who is connected is served
  }
  for (int fd : sockets) close(fd);
  const auto after = served.Control();
  EXPECT_TRUE(Eventually([&] { return GetLoad(*after).ok(); }));
}

TEST(Acceptor, H28_IdleConnectionsAreClosedAndClientsReconnect) {
  Serving serving;
  serving.config.mutable_limits()->set_idle_timeout_ms(200);
  ServedDaemon served(serving);
  Http2Connection idle(served.port());
  idle.Greet();
  const auto control = served.Control();
  EXPECT_TRUE(GetLoad(*control).ok());
  EXPECT_TRUE(idle.ReadUntil(kGoAway, std::chrono::seconds(5)));
  EXPECT_TRUE(Eventually([&] { return GetLoad(*control).ok(); }));
}

}  // namespace
}  // namespace hearth::server
