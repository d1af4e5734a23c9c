// The files of TLS, and what clients are agreed with.
#include "server/tls.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/byte_stream.h"
#include "tests/server/certificates.h"
#include "tests/server/test_file.h"
#include "tests/server/tls_client.h"

namespace hearth::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Result = ByteStream::Result;

std::string ErrorOf(const v1::Tls& files) {
  return std::string(TlsCredentials::Read(files).status().message());
}

TEST(TlsCredentials, NoneWithoutACertificate) {
  const auto none = TlsCredentials::Read({});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_TRUE(none->empty());
}

TEST(TlsCredentials, TakesACertificateWithItsChain) {
  const Certificate root({.name = "root"});
  const Certificate leaf({.name = "leaf", .issuer = &root});
  v1::Tls files = leaf.WriteTo("leaf");
  files.set_certificate_file(WriteTestFile("chain", leaf.pem() + "\n# root\n" + root.pem(), 0644));
  const auto credentials = TlsCredentials::Read(files);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_FALSE(credentials->empty());
}

TEST(TlsCredentials, SayWhichFileIsWrong) {
  const Certificate certificate;
  const v1::Tls good = certificate.WriteTo("good");
  v1::Tls files = good;
  files.set_certificate_file("/nonexistent/crt");
  EXPECT_THAT(ErrorOf(files), StartsWith("/nonexistent/crt: "));
  files = good;
  files.set_private_key_file("");
  EXPECT_NE(ErrorOf(files), "");
  files.set_private_key_file("/nonexistent/key");
  EXPECT_THAT(ErrorOf(files), StartsWith("/nonexistent/key: "));
  files = good;
  files.set_client_ca_file("/dev/null");
  EXPECT_THAT(ErrorOf(files), HasSubstr("/dev/null: not a regular file"));
  const std::string empty = WriteTestFile("empty", "");
  files.set_client_ca_file(empty);
  EXPECT_THAT(ErrorOf(files), AllOf(HasSubstr(empty), HasSubstr("holds no PEM certificate")));
  files = good;
  files.set_certificate_file(files.private_key_file());
  EXPECT_THAT(ErrorOf(files), HasSubstr("holds no PEM certificate"));
  files = good;
  files.set_private_key_file(WriteTestFile("crt-as-key", certificate.pem()));
  EXPECT_THAT(ErrorOf(files), HasSubstr("holds no PEM private key"));
  std::string broken = certificate.pem();
  broken.replace(broken.size() / 2, 4, "####");
  files = good;
  files.set_certificate_file(WriteTestFile("broken", broken, 0644));
  EXPECT_THAT(ErrorOf(files), HasSubstr("cannot be read"));
}

TEST(TlsCredentials, ThePrivateKeyIsTheCertificatesAndPrivate) {
  const Certificate certificate;
  v1::Tls files = certificate.WriteTo("own");
  files.set_private_key_file(Certificate().WriteTo("other").private_key_file());
  EXPECT_THAT(ErrorOf(files), AllOf(StartsWith(files.private_key_file()),
                                    HasSubstr("is not the certificate's private key")));
  files = certificate.WriteTo("own");
  for (const mode_t mode : {0644, 0604, 0620}) {
    chmod(files.private_key_file().c_str(), mode);
    EXPECT_THAT(ErrorOf(files), HasSubstr("expected none for others"));
  }
  chmod(files.private_key_file().c_str(), 0640);
  EXPECT_EQ(ErrorOf(files), "");
  files.set_private_key_file(WriteTestFile("locked", certificate.private_key_pem("password")));
  EXPECT_THAT(ErrorOf(files), AllOf(HasSubstr("without a passphrase"), Not(HasSubstr("BEGIN"))));
}

// A client and the server's side of one connection over TLS.
class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    auto listener = Listener::Bind(*ParseListenAddress("tls:127.0.0.1:0"), 0600);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_.emplace(*std::move(listener));
    Use(certificate_.WriteTo("server"));
  }
  void TearDown() override { Disconnect(); }

  void Use(const v1::Tls& files) {
    auto credentials = TlsCredentials::Read(files);
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    credentials_ = *std::move(credentials);
  }

  // Replaces the connection by a new one, whose client has not shaken hands.
  void Connect(const char* alpn = kAlpnHttp1) {
    Disconnect();
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fd_ = pair[0];
    server_.emplace(Connection{.fd = pair[1], .listener = &*listener_, .peer_uid = {}},
                    credentials_, alpn);
  }
  void Disconnect() {
    client_.reset();
    server_.reset();
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  // Calls `attempt` until it need not wait.
  static Result Finish(const ByteStream& stream, short (ByteStream::*event)() const,
                       const std::function<Result()>& attempt) {
    while (true) {
      const Result result = attempt();
      if (result != Result::kWait) return result;
      pollfd polled = {stream.fd(), (stream.*event)(), 0};
      if (poll(&polled, 1, 10'000) <= 0) return Result::kFailed;
    }
  }
  Result Handshake() {
    return Finish(*server_, &ByteStream::read_event, [this] { return server_->Handshake(); });
  }
  std::string Read(Result* last = nullptr) {
    std::string bytes(20'000, '\0');
    size_t got;
    const Result result = Finish(*server_, &ByteStream::read_event,
                                 [&] { return server_->Read(bytes.data(), bytes.size(), got); });
    if (last != nullptr) *last = result;
    return bytes.substr(0, got);
  }
  bool Write(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t sent;
      const Result result =
          Finish(*server_, &ByteStream::write_event, [&] { return server_->Write(bytes, sent); });
      if (result != Result::kMoved) return false;
      bytes.remove_prefix(sent);
    }
    return true;
  }

  // Both shake hands; whether the client is content. (In TLS 1.3 it is before its own certificate
  // has been judged.)
  bool Meet(const TlsClientOptions& options = {}, const char* alpn = kAlpnHttp1) {
    Connect(alpn);
    std::thread client([&] { client_.emplace(fd_, options); });
    result_ = Handshake();
    if (result_ != Result::kMoved) server_.reset();  // the client would wait
    client.join();
    return client_->connected();
  }

  Certificate certificate_;
  std::optional<Listener> listener_;
  TlsCredentials credentials_;
  int fd_ = -1;
  std::optional<ByteStream> server_;
  std::optional<TlsClient> client_;
  Result result_ = Result::kWait;
};

TEST_F(TlsTest, Speaks13And12AndNothingOlder) {
  ASSERT_TRUE(Meet({.trusted = &certificate_}));
  EXPECT_EQ(client_->version(), "TLSv1.3");
  ASSERT_TRUE(Meet({.trusted = &certificate_, .most_version = TLS1_2_VERSION}));
  EXPECT_EQ(client_->version(), "TLSv1.2");
  EXPECT_FALSE(Meet({.most_version = TLS1_1_VERSION}));
  EXPECT_FALSE(Meet({.most_version = TLS1_VERSION}));
}

TEST_F(TlsTest, OffersItsProtocolAndNoOther) {
  ASSERT_TRUE(Meet({.alpn = absl::StrCat(kAlpnHttp2, kAlpnHttp1)}, kAlpnHttp1));
  EXPECT_EQ(client_->alpn(), "http/1.1");
  ASSERT_TRUE(Meet({.alpn = absl::StrCat(kAlpnHttp2, kAlpnHttp1)}, kAlpnHttp2));
  EXPECT_EQ(client_->alpn(), "h2");
  EXPECT_FALSE(Meet({.alpn = kAlpnHttp2}, kAlpnHttp1));
  EXPECT_FALSE(Meet({.alpn = kAlpnHttp1}, kAlpnHttp2));
  ASSERT_TRUE(Meet({}, kAlpnHttp2));  // names none
  EXPECT_EQ(client_->alpn(), "");
}

TEST_F(TlsTest, MegabytesPassBothWays) {
  ASSERT_TRUE(Meet());
  std::string bytes(3'000'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 1000);
  std::thread reader([&] { EXPECT_EQ(client_->ReceiveExactly(bytes.size()), bytes); });
  EXPECT_TRUE(Write(bytes));
  reader.join();
  std::thread writer([&] { EXPECT_TRUE(client_->Send(bytes)); });
  std::string got;
  while (got.size() < bytes.size()) {
    const std::string more = Read();
    ASSERT_NE(more, "");
    got += more;
  }
  EXPECT_EQ(got, bytes);
  writer.join();
}

TEST_F(TlsTest, ASideThatHasEndedStillReads) {
  ASSERT_TRUE(Meet());
  client_->Send("last words");
  client_->SendEnd();
  shutdown(fd_, SHUT_WR);
  Result result;
  EXPECT_EQ(Read(&result), "last words");
  EXPECT_EQ(Read(&result), "");
  EXPECT_EQ(result, Result::kEnd);
  EXPECT_TRUE(Write("and the answer"));
  server_->EndWriting();
  EXPECT_EQ(client_->ReceiveExactly(100), "and the answer");
  EXPECT_TRUE(client_->ended());
}

TEST_F(TlsTest, AnEndWithoutCloseNotifyIsAnEnd) {
  ASSERT_TRUE(Meet());
  shutdown(fd_, SHUT_WR);
  Result result;
  Read(&result);
  EXPECT_EQ(result, Result::kEnd);
}

TEST_F(TlsTest, ClosingTellsTheClient) {
  ASSERT_TRUE(Meet());
  server_.reset();
  EXPECT_EQ(client_->Receive(1), "");
  EXPECT_TRUE(client_->ended());
}

TEST_F(TlsTest, H11_WhatIsNoTlsFailsAtOnceAndForGood) {
  for (const char* bytes : {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    Connect();
    ASSERT_GT(send(fd_, bytes, strlen(bytes), 0), 0);
    EXPECT_EQ(Handshake(), Result::kFailed) << bytes;
    size_t moved;
    EXPECT_EQ(server_->Write("x", moved), Result::kFailed);
    char byte;
    EXPECT_EQ(server_->Read(&byte, 1, moved), Result::kFailed);
  }
}

TEST_F(TlsTest, RecordsWithoutDataHoldNobodyUp) {
  constexpr int kUpdates = 50;
  ASSERT_TRUE(Meet());
  for (int i = 0; i < kUpdates; ++i) client_->UpdateKey();
  client_->Send("data");
  char bytes[16];
  size_t got;
  int waits = 0;
  while (server_->Read(bytes, sizeof bytes, got) == Result::kWait) ASSERT_LE(++waits, kUpdates);
  EXPECT_EQ(got, 4u);
  EXPECT_EQ(waits, kUpdates);
}

TEST_F(TlsTest, ASilentClientIsWaitedFor) {
  Connect();
  EXPECT_EQ(server_->Handshake(), Result::kWait);
  EXPECT_EQ(server_->read_event(), POLLIN);
  ASSERT_EQ(send(fd_, "\x16\x03\x01", 3, 0), 3);  // the first bytes of a ClientHello
  EXPECT_EQ(server_->Handshake(), Result::kWait);
  shutdown(fd_, SHUT_WR);
  EXPECT_NE(Handshake(), Result::kMoved);
}

TEST_F(TlsTest, ClientsShowACertificateWhereOneIsAskedFor) {
  const Certificate authority({.name = "authority"});
  const Certificate stranger({.name = "stranger"});
  const Certificate known({.name = "known", .issuer = &authority});
  v1::Tls files = certificate_.WriteTo("server");
  files.set_client_ca_file(WriteTestFile("authority", authority.pem(), 0644));
  Use(files);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_TRUE(Meet({.certificate = &known, .most_version = version}));
    EXPECT_EQ(result_, Result::kMoved);
    Meet({.certificate = &stranger, .most_version = version});
    EXPECT_EQ(result_, Result::kFailed);
    Meet({.most_version = version});
    EXPECT_EQ(result_, Result::kFailed);
    const Certificate expired({.name = "late", .issuer = &authority, .days = -1});
    Meet({.certificate = &expired, .most_version = version});
    EXPECT_EQ(result_, Result::kFailed);
  }
}

TEST_F(TlsTest, F4_NewFilesCountFromTheNextConnectionOn) {
  ASSERT_TRUE(Meet({.trusted = &certificate_}));
  const Certificate renewed;
  renewed.WriteTo("server");
  EXPECT_TRUE(credentials_.Reload().ok());
  EXPECT_TRUE(Write("as before"));
  EXPECT_EQ(client_->ReceiveExactly(9), "as before");
  EXPECT_FALSE(Meet({.trusted = &certificate_}));
  EXPECT_TRUE(Meet({.trusted = &renewed}));
}

TEST_F(TlsTest, F4_BadFilesChangeNothing) {
  const std::string key = certificate_.WriteTo("server").private_key_file();
  const Certificate other;
  WriteTestFile("server.key", other.private_key_pem());
  EXPECT_THAT(std::string(credentials_.Reload().message()), StartsWith(key));
  EXPECT_TRUE(Meet({.trusted = &certificate_}));
  unlink(key.c_str());
  EXPECT_FALSE(credentials_.Reload().ok());
  EXPECT_TRUE(Meet({.trusted = &certificate_}));
}

TEST(ByteStream, PlainSocketsMoveBytesAndNeverWait) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  ByteStream stream(pair[0]);
  EXPECT_EQ(stream.Handshake(), Result::kMoved);
  char bytes[16];
  size_t moved;
  EXPECT_EQ(stream.Read(bytes, sizeof bytes, moved), Result::kWait);
  EXPECT_EQ(stream.Write("hello", moved), Result::kMoved);
  EXPECT_EQ(moved, 5u);
  ASSERT_EQ(write(pair[1], "hi", 2), 2);
  EXPECT_EQ(stream.Read(bytes, sizeof bytes, moved), Result::kMoved);
  EXPECT_EQ(moved, 2u);
  const std::string much(1 << 20, 'x');
  Result result = Result::kMoved;
  while (result == Result::kMoved) result = stream.Write(much, moved);
  EXPECT_EQ(result, Result::kWait);
  close(pair[1]);
  EXPECT_EQ(stream.Write("x", moved), Result::kFailed);
}

}  // namespace
}  // namespace hearth::server
