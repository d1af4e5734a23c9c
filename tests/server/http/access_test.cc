#include "server/http/access.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

RequestHead Head(std::string_view name, std::string_view value) {
  RequestHead head;
  head.headers.emplace_back(name, value);
  return head;
}

Listener Listen(const char* address) {
  auto listener = Listener::Bind(*ParseListenAddress(address), 0600);
  EXPECT_TRUE(listener.ok()) << listener.status();
  return *std::move(listener);
}

TEST(Access, B1_B2_HostOnALoopbackListener) {
  const Listener listener = Listen("127.0.0.1:0");
  v1::Listen config;
  config.add_allowed_hosts("Gateway.lan");
  const auto status = [&](std::string_view host) {
    const auto refusal = CheckHost(Head("host", host), listener, config);
    return refusal ? refusal->http_status : 0;
  };
  for (const char* host : {"127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "localhost.",
                           "[::1]", "[::1]:8080", "gateway.lan", "gateway.lan:80"}) {
    EXPECT_EQ(status(host), 0) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "",
                           "localhost:", "localhost:99999", "localhost:8080@evil", "[::1", "::1",
                           "127.0.0.2", "localhost@evil.example", "10.0.0.1"}) {
    EXPECT_EQ(status(host), 403) << host;
  }
}

TEST(Access, B2_AListenersOwnAddressIsAHost) {
  for (const char* address : {"127.0.0.2:0", "tls:127.0.0.2:0"}) {
    const Listener listener = Listen(address);
    EXPECT_FALSE(CheckHost(Head("host", "127.0.0.2:8080"), listener, {})) << address;
    EXPECT_TRUE(CheckHost(Head("host", "127.0.0.3"), listener, {})) << address;
  }
}

TEST(Access, HostElsewhereIsFree) {
  const Listener wide = Listen("0.0.0.0:0");
  const std::string path = absl::StrCat(testing::TempDir(), "/access_test.sock");
  const Listener local = Listen(absl::StrCat("unix:", path).c_str());
  EXPECT_FALSE(CheckHost(Head("host", "evil.example"), wide, {}));
  EXPECT_FALSE(CheckHost(Head("host", "evil.example"), local, {}));
}

TEST(Access, B3_B5_Origin) {
  for (const char* origin : {"http://localhost", "http://localhost:3000", "https://127.0.0.1:1",
                             "http://[::1]:5173", "HTTP://LocalHost"}) {
    EXPECT_FALSE(CheckOrigin(Head("origin", origin), {})) << origin;
  }
  for (const char* origin :
       {"null", "", "http://evil.example", "http://localhost.evil.example", "file://", "localhost",
        "http://localhost:80@evil.example", "http://127.0.0.1.evil.example", "ftp://localhost"}) {
    const auto refusal = CheckOrigin(Head("origin", origin), {});
    ASSERT_TRUE(refusal) << origin;
    EXPECT_EQ(refusal->http_status, 403);
    EXPECT_EQ(refusal->type, "permission_error");
  }
  EXPECT_FALSE(CheckOrigin(RequestHead(), {}));
}

TEST(Access, B3_B4_ConfiguredOriginsAreExact) {
  v1::Listen config;
  config.add_allowed_origins("https://app.example");
  config.add_allowed_origins("app://hearth");
  for (const char* origin :
       {"https://app.example", "HTTPS://App.example", "app://hearth", "http://localhost:3000"}) {
    EXPECT_NE(AllowedOrigin(Head("origin", origin), config), nullptr) << origin;
  }
  for (const char* origin : {"http://app.example", "https://app.example:8443", "https://app",
                             "https://app.example.evil", "https://x.app.example", "null"}) {
    EXPECT_TRUE(CheckOrigin(Head("origin", origin), config)) << origin;
  }
}

TEST(Access, B4_PreflightsNameTheirMethodAndOrigin) {
  RequestHead head = Head("origin", "http://localhost:3000");
  head.method = "OPTIONS";
  EXPECT_FALSE(IsPreflight(head));
  EXPECT_EQ(*AllowedOrigin(head, {}), "http://localhost:3000");
  head.headers.emplace_back("access-control-request-method", "POST");
  EXPECT_TRUE(IsPreflight(head));
  head.method = "POST";
  EXPECT_FALSE(IsPreflight(head));
  EXPECT_EQ(AllowedOrigin(Head("origin", "http://evil.example"), {}), nullptr);
  EXPECT_EQ(AllowedOrigin(RequestHead(), {}), nullptr);
}

}  // namespace
}  // namespace hearth::server
