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
    const auto refusal = CheckHost(Head("host", host), listener, config, false);
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
    EXPECT_FALSE(CheckHost(Head("host", "127.0.0.2:8080"), listener, {}, false)) << address;
    EXPECT_TRUE(CheckHost(Head("host", "127.0.0.3"), listener, {}, true)) << address;
  }
}

TEST(Access, B2_HostBeyondLoopback) {
  const Listener wide = Listen("0.0.0.0:0");
  const Listener tls = Listen("tls:0.0.0.0:0");
  const Listener local =
      Listen(absl::StrCat("unix:", testing::TempDir(), "/access_test.sock").c_str());
  v1::Listen named;
  named.add_allowed_hosts("gateway.lan");
  const auto taken = [](std::string_view host, const Listener& listener, const v1::Listen& config,
                        bool has_keys) {
    return !CheckHost(Head("host", host), listener, config, has_keys).has_value();
  };
  // A page elsewhere has no key, and no certificate of its name.
  EXPECT_TRUE(taken("evil.example", wide, {}, true));
  EXPECT_TRUE(taken("evil.example", tls, {}, false));
  EXPECT_TRUE(taken("evil.example", local, named, false));
  EXPECT_FALSE(taken("evil.example", wide, {}, false));
  for (const Listener* listener : {&wide, &tls}) {
    for (const bool has_keys : {false, true}) {
      EXPECT_FALSE(taken("evil.example", *listener, named, has_keys));
      for (const char* host :
           {"gateway.lan:8443", "10.0.0.1", "10.0.0.1:80", "[fe80::1]:80", "localhost"}) {
        EXPECT_TRUE(taken(host, *listener, named, has_keys)) << host;
      }
      for (const char* host : {"10.0.0.1.evil.example", "[fe80::1", "fe80::1", "[evil]", "10.1"}) {
        EXPECT_FALSE(taken(host, *listener, named, has_keys)) << host;
      }
    }
  }
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
