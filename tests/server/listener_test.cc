#include "server/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

using ::testing::StartsWith;

std::string SocketPath(const char* name) {
  return absl::StrCat(testing::TempDir(), "/", name, ".", getpid());
}

ListenAddress Unix(const std::string& path) {
  return *ParseListenAddress(absl::StrCat("unix:", path));
}

mode_t ModeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

bool Connects(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

TEST(ListenAddress, ParsesAddresses) {
  const auto v4 = ParseListenAddress("127.0.0.1:8080");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 8080);
  EXPECT_TRUE(v4->is_loopback());
  EXPECT_EQ(ParseListenAddress("[::1]:0")->host, "::1");
  EXPECT_TRUE(ParseListenAddress("[::1]:65535")->is_loopback());
  EXPECT_TRUE(ParseListenAddress("localhost:1")->is_loopback());
  EXPECT_FALSE(ParseListenAddress("0.0.0.0:1")->is_loopback());
  EXPECT_FALSE(ParseListenAddress("[::]:1")->is_loopback());
  EXPECT_FALSE(ParseListenAddress("192.168.1.2:1")->is_loopback());
  const auto tls = ParseListenAddress("tls:[::]:8443");
  ASSERT_TRUE(tls.ok());
  EXPECT_TRUE(tls->tls);
  EXPECT_FALSE(tls->is_loopback());
  EXPECT_EQ(tls->host, "::");
  EXPECT_FALSE(v4->tls);
  const auto local = ParseListenAddress("unix:/run/x.sock");
  ASSERT_TRUE(local.ok());
  EXPECT_EQ(local->unix_path, "/run/x.sock");
  EXPECT_TRUE(local->is_unix() && local->is_loopback());
}

TEST(ListenAddress, C6_RefusesOthers) {
  for (const std::string& text :
       {std::string(""), std::string("8080"), std::string(":8080"), std::string("127.0.0.1"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:65536"), std::string("127.0.0.1:-1"),
        std::string("127.0.0.1:+1"), std::string("127.0.0.1:80x"), std::string("127.0.0.1: 80"),
        std::string("::1:80"), std::string("[127.0.0.1]:80"), std::string("[::1:80"),
        std::string("example.org:80"), std::string("127.0.0.1\0:80", 13), std::string("unix:"),
        std::string("unix:x.sock"), absl::StrCat("unix:/", std::string(200, 'x'))}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseListenAddress(text).status())) << text;
  }
  for (const char* text : {"tls:", "tls:80", "tls:unix:/run/x.sock", "tls:tls:127.0.0.1:80",
                           "TLS:127.0.0.1:80", "tls:example.org:80"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseListenAddress(text).status())) << text;
  }
}

TEST(Listener, TlsIsPartOfItsName) {
  const auto listener = Listener::Bind(*ParseListenAddress("tls:127.0.0.1:0"), 0600);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(listener->is_tls());
  EXPECT_EQ(listener->host(), "127.0.0.1");
  EXPECT_EQ(listener->name(), absl::StrCat("tls:127.0.0.1:", listener->port()));
}

TEST(Listener, PortZeroBecomesAPort) {
  const auto listener = Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_GT(listener->port(), 0);
  EXPECT_EQ(listener->name(), absl::StrCat("127.0.0.1:", listener->port()));
  EXPECT_EQ(listener->host(), "127.0.0.1");
  EXPECT_TRUE(listener->is_loopback());
  EXPECT_FALSE(listener->is_tls());
  EXPECT_FALSE(listener->is_unix());
}

TEST(Listener, F24_PortInUse) {
  const auto first = Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600);
  ASSERT_TRUE(first.ok());
  const auto second = Listener::Bind(*ParseListenAddress(first->name()), 0600);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), StartsWith(first->name()));
}

TEST(Listener, UnixSocketHasItsModeWhateverTheUmask) {
  const std::string path = SocketPath("mode");
  const mode_t before = umask(0777);
  const auto listener = Listener::Bind(Unix(path), 0660);
  umask(before);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(ModeOf(path), 0660u);
  EXPECT_EQ(listener->name(), absl::StrCat("unix:", path));
  EXPECT_TRUE(Connects(path));
}

TEST(Listener, UnixSocketGoesWithItsListener) {
  const std::string path = SocketPath("gone");
  {
    auto listener = Listener::Bind(Unix(path), 0600);
    ASSERT_TRUE(listener.ok());
    Listener moved = *std::move(listener);
    EXPECT_TRUE(Connects(path));
    moved.Close();
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    EXPECT_EQ(moved.fd(), -1);
    EXPECT_EQ(moved.name(), absl::StrCat("unix:", path));
  }
}

TEST(Listener, F24_UnixSocketSomebodyListensOn) {
  const std::string path = SocketPath("used");
  const auto first = Listener::Bind(Unix(path), 0600);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Listener::Bind(Unix(path), 0600).status()));
  EXPECT_TRUE(Connects(path));
}

TEST(Listener, F1_F24_StaleUnixSocketIsReplaced) {
  const std::string path = SocketPath("stale");
  const int crashed = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(crashed, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(crashed);
  const auto listener = Listener::Bind(Unix(path), 0600);
  EXPECT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(Connects(path));
}

TEST(Listener, F24_WhatIsNoSocketIsLeftAlone) {
  const std::string path = SocketPath("file");
  close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_TRUE(absl::IsAlreadyExists(Listener::Bind(Unix(path), 0600).status()));
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  unlink(path.c_str());
  const absl::Status missing = Listener::Bind(Unix("/no/such/dir/x.sock"), 0600).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(std::string(missing.message()),
              testing::HasSubstr("the directory /no/such/dir/ is missing"));
}

TEST(Listener, AdoptsListeningSocketsOnly) {
  auto bound = Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600);
  ASSERT_TRUE(bound.ok());
  const auto adopted = Listener::Adopt(dup(bound->fd()));
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->name(), bound->name());
  EXPECT_TRUE(adopted->is_loopback());
  EXPECT_NE(fcntl(adopted->fd(), F_GETFD) & FD_CLOEXEC, 0);

  const int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Listener::Adopt(idle).status()));
  close(idle);
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_TRUE(absl::IsInvalidArgument(Listener::Adopt(file).status()));
  close(file);
  EXPECT_TRUE(absl::IsInvalidArgument(Listener::Adopt(-1).status()));
}

}  // namespace
}  // namespace hearth::server
