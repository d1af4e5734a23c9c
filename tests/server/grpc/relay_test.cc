// The relay alone: what goes in comes out, and who is on the other end is told.
#include "server/grpc/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/http2_connection.h"
#include "tests/server/grpc/served_daemon.h"
#include "tests/server/tls_client.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A client's socket and gRPC's, with the relay between them.
class RelayTest : public testing::Test {
 protected:
  void SetUp() override {
    auto bound = Listener::Bind(
        {.host = "", .port = 0, .unix_path = absl::StrCat(testing::TempDir(), "relay-", getpid())},
        0600);
    ASSERT_TRUE(bound.ok()) << bound.status();
    listener_.emplace(*std::move(bound));
    auto relay = Relay::Start({.max_header_block = 16384,
                               .handshake_timeout = milliseconds(2000),
                               .write_timeout = milliseconds(300)},
                              tls_, [this](int open) { open_ = open; });
    ASSERT_TRUE(relay.ok()) << relay.status();
    relay_ = *std::move(relay);
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client_ = pair[0];
    auto inner = relay_->Connect({.fd = pair[1], .listener = &listener(), .peer_uid = 1234});
    ASSERT_TRUE(inner.ok()) << inner.status();
    inner_ = *inner;
    fcntl(inner_, F_SETFL, fcntl(inner_, F_GETFL) & ~O_NONBLOCK);
    EXPECT_EQ(open_, 1);
  }
  void TearDown() override {
    close(client_);
    close(inner_);
  }

  static std::string ReadExactly(int fd, size_t size) {
    std::string out(size, '\0');
    size_t filled = 0;
    while (filled < size) {
      const ssize_t n = read(fd, out.data() + filled, size - filled);
      if (n <= 0) break;
      filled += static_cast<size_t>(n);
    }
    out.resize(filled);
    return out;
  }
  static void WriteAll(int fd, const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }
  bool AwaitNone() {
    return Eventually([this] { return open_ == 0 && relay_->open() == 0; });
  }

  virtual const Listener& listener() const { return *listener_; }

  TlsCredentials tls_;
  std::optional<Listener> listener_;
  std::unique_ptr<Relay> relay_;
  std::atomic<int> open_{0};
  int client_ = -1;
  int inner_ = -1;
};

TEST_F(RelayTest, G8_ThePeersNameSaysWhoseTheConnectionIs) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(getpeername(inner_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string name(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
  EXPECT_EQ(ClientNameOf(absl::StrCat("unix-abstract:", name)), "uid-1234");
}

TEST_F(RelayTest, MegabytesPassUnchangedBothWays) {
  std::string up = kPreface;
  for (int i = 0; i < 200; ++i)
    up += EncodeFrame(kData, kNoFlag, 1, std::string(10'000, 'a' + i % 26));
  std::string down(3'000'000, '\0');
  for (size_t i = 0; i < down.size(); ++i) down[i] = static_cast<char>(i * 7);
  std::thread client_writer([&] { WriteAll(client_, up); });
  std::thread inner_writer([&] { WriteAll(inner_, down); });
  std::string got_down;
  std::thread client_reader([&] { got_down = ReadExactly(client_, down.size()); });
  EXPECT_EQ(ReadExactly(inner_, up.size()), up);
  client_writer.join();
  inner_writer.join();
  client_reader.join();
  EXPECT_EQ(got_down, down);
}

TEST_F(RelayTest, WhatTheCheckerRefusesNeverArrives) {
  WriteAll(client_, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(ReadExactly(inner_, 1), "");
  EXPECT_EQ(ReadExactly(client_, 1), "");
  EXPECT_TRUE(AwaitNone());
}

TEST_F(RelayTest, LastWordsArriveBeforeTheEnd) {
  const std::string words(100'000, 'x');
  std::thread writer([&] {
    WriteAll(inner_, words);
    shutdown(inner_, SHUT_RDWR);
  });
  EXPECT_EQ(ReadExactly(client_, words.size() + 1), words);
  writer.join();
  EXPECT_TRUE(AwaitNone());
}

TEST_F(RelayTest, AClientThatLeavesEndsIt) {
  shutdown(client_, SHUT_RDWR);
  EXPECT_EQ(ReadExactly(inner_, 1), "");
  EXPECT_TRUE(AwaitNone());
}

TEST_F(RelayTest, G15_AClientThatTakesNothingIsCut) {
  const std::string bytes(10'000, 'x');
  pollfd writable{inner_, POLLOUT, 0};
  while (poll(&writable, 1, 100) > 0) send(inner_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  EXPECT_TRUE(AwaitNone());
}

TEST_F(RelayTest, SilenceIsNoStall) {
  WriteAll(client_, kPreface);
  EXPECT_EQ(ReadExactly(inner_, sizeof kPreface - 1), kPreface);
  std::this_thread::sleep_for(milliseconds(900));
  EXPECT_EQ(open_, 1);
  WriteAll(inner_, "still here");
  EXPECT_EQ(ReadExactly(client_, 10), "still here");
}

// The same between a client that speaks TLS and gRPC, which does not.
class TlsRelayTest : public RelayTest {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    auto credentials = TlsCredentials::Read(Certificate().WriteTo("relay"));
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    tls_ = *std::move(credentials);
    auto bound = Listener::Bind(*ParseListenAddress("tls:127.0.0.1:0"), 0600);
    ASSERT_TRUE(bound.ok()) << bound.status();
    tls_listener_.emplace(*std::move(bound));
    RelayTest::SetUp();
  }
  const Listener& listener() const override { return *tls_listener_; }

  std::optional<Listener> tls_listener_;
};

TEST_F(TlsRelayTest, MegabytesPassUnchangedBothWays) {
  TlsClient client(client_, {.alpn = kAlpnHttp2});
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.alpn(), "h2");
  std::string up = kPreface;
  for (int i = 0; i < 200; ++i) {
    up += EncodeFrame(kData, kNoFlag, 1, std::string(10'000, static_cast<char>('a' + i % 26)));
  }
  std::thread writer([&] { EXPECT_TRUE(client.Send(up)); });
  EXPECT_EQ(ReadExactly(inner_, up.size()), up);
  writer.join();
  std::string down(3'000'000, '\0');
  for (size_t i = 0; i < down.size(); ++i) down[i] = static_cast<char>(i * 7);
  std::thread inner_writer([&] {
    WriteAll(inner_, down);
    shutdown(inner_, SHUT_RDWR);
  });
  EXPECT_EQ(client.ReceiveExactly(down.size()), down);
  EXPECT_EQ(client.Receive(1), "");
  inner_writer.join();
  EXPECT_TRUE(AwaitNone());
}

TEST_F(TlsRelayTest, WhatTheCheckerRefusesInsideNeverArrives) {
  TlsClient client(client_, {});
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(ReadExactly(inner_, 1), "");
  EXPECT_EQ(client.Receive(1), "");
  EXPECT_TRUE(AwaitNone());
}

TEST_F(TlsRelayTest, G21_WhatIsNoTlsNeverArrives) {
  WriteAll(client_, kPreface);
  EXPECT_EQ(ReadExactly(inner_, 1), "");
  EXPECT_TRUE(AwaitNone());
}

TEST_F(TlsRelayTest, F14_WhoShakesNoHandsIsClosedInTime) {
  WriteAll(inner_, "settings, which wait for the handshake");
  WriteAll(client_, std::string("\x16\x03\x01\x40\x00", 5));  // of a record that never ends
  EXPECT_TRUE(Eventually([&] {
    send(client_, "\x01", 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(milliseconds(20));
    return open_ == 0;
  }));
  EXPECT_EQ(ReadExactly(inner_, 1), "");
}

TEST_F(TlsRelayTest, G15_AClientThatTakesNothingIsCut) {
  TlsClient client(client_, {});
  ASSERT_TRUE(client.connected());
  const std::string bytes(10'000, 'x');
  pollfd writable{inner_, POLLOUT, 0};
  while (poll(&writable, 1, 100) > 0) send(inner_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  EXPECT_TRUE(AwaitNone());
}

TEST_F(TlsRelayTest, SilenceIsNoStall) {
  TlsClient client(client_, {});
  client.Send(kPreface);
  EXPECT_EQ(ReadExactly(inner_, sizeof kPreface - 1), kPreface);
  std::this_thread::sleep_for(milliseconds(900));
  EXPECT_EQ(open_, 1);
  WriteAll(inner_, "still here");
  EXPECT_EQ(client.ReceiveExactly(10), "still here");
}

}  // namespace
}  // namespace hearth::server
