// How connections come in: Unix sockets, the cap, and no descriptors left.
#include <fcntl.h>
#include <grpcpp/client_context.h>
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
  EXPECT_EQ(PeerName("unix-abstract:hearth/42/7/uid-1000"), "uid-1000");
  EXPECT_EQ(PeerName("unix-abstract:hearth/42/7/ip-127.0.0.1"), "ip-127.0.0.1");
  EXPECT_EQ(PeerName("ipv4:127.0.0.1:80"), "ipv4:127.0.0.1:80");
  EXPECT_EQ(PeerName(""), "");
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
