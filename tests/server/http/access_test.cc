#include "server/http/access.h"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/endpoint.h"
#include "tests/server/captured_log.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;

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

class KeyedTest : public HttpTest {
 protected:
  static constexpr char kKey[] = "correct-horse-battery";
  void SetUp() override { Start(absl::StrCat(kKey, "\nsecond-key-of-some-length\n")); }

  int Status(std::string_view authorization) const {
    return Get("/version", absl::StrCat("Authorization: ", std::string(authorization), "\r\n"))
        .status;
  }
};

TEST_F(KeyedTest, B6_WithoutKey) {
  const RawReply reply = Post("/v1/chat/completions", "{}");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.error("code"), "invalid_api_key");
  EXPECT_EQ(reply.error("param"), "");
  EXPECT_EQ(reply.headers.at("www-authenticate"), "Bearer");
}

TEST_F(KeyedTest, B7_B8_B12_KeysAreExactAndTheSchemeIsNot) {
  EXPECT_EQ(Status(absl::StrCat("Bearer ", kKey)), 200);
  EXPECT_EQ(Status("bEARER second-key-of-some-length"), 200);
  EXPECT_EQ(Status(absl::StrCat("Bearer ", kKey, " ")), 200);  // HTTP drops the space
  EXPECT_EQ(Status("Bearer correct-horse-batterx"), 401);
  EXPECT_EQ(Status("Bearer correct-horse"), 401);
  EXPECT_EQ(Status(absl::StrCat("Bearer  ", kKey)), 401);
  EXPECT_EQ(Status(absl::StrCat("Basic ", kKey)), 401);
  EXPECT_EQ(Status(kKey), 401);
  EXPECT_EQ(Status("Bearer"), 401);
  EXPECT_EQ(Status("Bearer \xc3\xa4"), 401);
  EXPECT_EQ(Status(std::string_view("Bearer \0", 8)), 400);
}

TEST_F(KeyedTest, B9_B10_B11_KeysElsewhere) {
  EXPECT_EQ(Get(absl::StrCat("/version?api_key=", kKey)).status, 401);
  EXPECT_EQ(Get("/version", absl::StrCat("Cookie: key=", kKey, "\r\n")).status, 401);
  EXPECT_EQ(Get("/version", absl::StrCat("X-Key: ", kKey, "\r\n")).status, 401);
  EXPECT_EQ(Get("/version", absl::StrCat("X-Api-Key: ", kKey, "\r\n")).status, 200);
  EXPECT_EQ(
      Get("/version", absl::StrCat("X-Api-Key: ", kKey, "\r\nX-Api-Key: ", kKey, "\r\n")).status,
      400);
  EXPECT_EQ(Get("/version", absl::StrCat("Authorization: Bearer ", kKey,
                                         "\r\nAuthorization: Bearer ", kKey, "\r\n"))
                .status,
            400);
  EXPECT_EQ(Status(absl::StrCat("Bearer ", std::string(65536, 'k'))), 431);
}

TEST_F(KeyedTest, B13_OnlyHealthIsOpen) {
  const auto status = [this](std::string_view method, std::string_view path) {
    while (true) {  // until the failures so far are forgiven
      RawClient client(tcp());
      client.Send(RequestText(method, path, method == "POST" ? "{}" : ""));
      const int code = client.Receive(/*no_body=*/method == "HEAD").status;
      if (code != 429) return code;
      absl::SleepFor(absl::Milliseconds(20));
    }
  };
  for (const EndpointRow& row : Endpoints()) {
    const bool open = row.path == "/health";
    EXPECT_EQ(row.needs_key, !open) << row.path;
    EXPECT_EQ(status(row.method, row.path) == 401, !open) << row.path;
    EXPECT_EQ(status("HEAD", row.path), open ? 200 : 401) << row.path;
    // Whatever a row does not serve, and what is in no row.
    for (const char* method : {"OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"}) {
      EXPECT_EQ(status(method, row.path), 401) << method << " " << row.path;
    }
  }
  for (const char* method : {"GET", "HEAD", "POST", "OPTIONS", "PUT"}) {
    EXPECT_EQ(status(method, "/nowhere"), 401) << method;
  }
}

TEST_F(KeyedTest, B4_PreflightsNeedNoKey) {
  const auto preflight = [this](std::string_view origin) {
    RawClient client(tcp());
    client.Send(RequestText("OPTIONS", "/v1/chat/completions", "",
                            absl::StrCat("Origin: ", std::string(origin),
                                         "\r\nAccess-Control-Request-Method: POST\r\n")));
    return client.Receive(/*no_body=*/true).status;
  };
  EXPECT_EQ(preflight("http://localhost:3000"), 204);
  EXPECT_EQ(preflight("https://evil.example"), 403);
}

TEST_F(KeyedTest, B15_RevokedKeyIsRefusedFromTheNextRequestOn) {
  RawClient client(tcp());
  const std::string request =
      RequestText("GET", "/version", "", absl::StrCat("Authorization: Bearer ", kKey, "\r\n"));
  client.Send(request);
  EXPECT_EQ(client.Receive().status, 200);
  WriteTestFile("keys", "another-key\n");
  EXPECT_TRUE(daemon_->Reload().ok());
  client.Send(request);  // also on a connection that it has opened
  EXPECT_EQ(client.Receive().status, 401);
  EXPECT_EQ(Status("Bearer another-key"), 200);
  WriteTestFile("keys", "");
  EXPECT_THAT(std::string(daemon_->Reload().message()), HasSubstr("holds no key"));
  EXPECT_EQ(Status("Bearer another-key"), 200);
}

TEST_F(KeyedTest, B14_NothingIsReachableRoundAbout) {
  for (const char* path : {"/V1/models", "//v1/models", "/v1/../v1/models", "/v1;x/models",
                           "/nowhere", "/health/../v1/models", "/health%2f"}) {
    EXPECT_EQ(Get(path).status, 401) << path;
  }
}

TEST_F(KeyedTest, B16_FloodOfWrongKeysIsLimited) {
  int limited = 0;
  for (int i = 0; i < 60; ++i) {
    const int status = Status("Bearer wrong");
    ASSERT_THAT(status, AnyOf(Eq(401), Eq(429)));
    limited += status == 429;
  }
  EXPECT_GT(limited, 0);
  EXPECT_EQ(Status(absl::StrCat("Bearer ", kKey)), 200);
}

class KeyLogTest : public HttpTest {};

// Right or wrong, wherever it stands.
TEST_F(KeyLogTest, B16_KeysAreNeverLogged) {
  const CapturedLog log;
  const std::string right = "correct-horse-battery";
  Start(right + "\n");
  const std::string wrong = "wrong-zebra-cell";
  const std::string malformed = "mal formed\x80-key";
  const std::string long_one(65536, 'k');
  for (const std::string& key : {right, wrong, malformed, long_one}) {
    Get("/version", absl::StrCat("Authorization: Bearer ", key, "\r\n"));
    Get("/version", absl::StrCat("Authorization: ", key, "\r\n"));
    Get("/version", absl::StrCat("X-Api-Key: ", key, "\r\n"));
    Get(absl::StrCat("/version?api_key=", key));
    Get(absl::StrCat("/", key));
  }
  RawReply limited;
  for (int i = 0; i < 100 && limited.status != 429; ++i) {
    limited = Get("/version", absl::StrCat("Authorization: Bearer ", wrong, "\r\n"));
  }
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.headers.count("retry-after"), 1u);
  EXPECT_EQ(limited.error("type"), "rate_limit_error");
  server_.reset();
  daemon_.reset();
  const std::string lines = log.text();
  EXPECT_THAT(lines, HasSubstr("/version 200"));
  EXPECT_THAT(lines, HasSubstr("/version 401"));
  for (const char* piece : {"correct", "horse", "wrong", "zebra", "mal", "formed", "kkkk"}) {
    EXPECT_THAT(lines, Not(HasSubstr(piece)));
  }
}

class AllowedOriginsTest : public HttpTest {
 protected:
  void SetUp() override {
    config_.mutable_listen()->add_allowed_origins("https://app.example:8443");
    Start();
  }
};

TEST_F(AllowedOriginsTest, B3_B4_OriginsAreComparedExactly) {
  const RawReply reply = Get("/version", "Origin: https://app.example:8443\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "https://app.example:8443");
  EXPECT_EQ(reply.headers.at("vary"), "Origin");
  RawClient client(tcp());
  client.Send(RequestText("OPTIONS", "/v1/chat/completions", "",
                          "Origin: https://app.example:8443\r\n"
                          "Access-Control-Request-Method: POST\r\n"));
  const RawReply preflight = client.Receive(/*no_body=*/true);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("access-control-allow-origin"), "https://app.example:8443");
  for (const char* origin :
       {"https://app.example", "http://app.example:8443", "null", "https://sub.app.example:8443",
        "https://app.example:84430", "https://app.example:8443.evil.example",
        "https://app.example:8443/"}) {
    const RawReply other = Get("/version", absl::StrCat("Origin: ", origin, "\r\n"));
    EXPECT_EQ(other.status, 403) << origin;
    EXPECT_EQ(other.headers.count("access-control-allow-origin"), 0u) << origin;
  }
}

class AllowedUidsTest : public HttpTest {
 protected:
  void StartFor(int64_t uid) {
    config_.mutable_listen()->add_allowed_uids(uid);
    Start();
  }
  RawReply GetLocally(std::string_view path) const {
    RawClient client(local());
    client.Send(RequestText("GET", path));
    return client.Receive();
  }
};

TEST_F(AllowedUidsTest, B17_OtherUsersOfTheSocketAreRefused) {
  StartFor(int64_t{getuid()} + 1);
  for (const char* path : {"/version", "/v1/models", "/metrics", "/nowhere"}) {
    const RawReply reply = GetLocally(path);
    EXPECT_EQ(reply.status, 403) << path;
    EXPECT_EQ(reply.error("type"), "permission_error");
  }
  EXPECT_EQ(GetLocally("/health").status, 200);
  EXPECT_EQ(Get("/version").status, 200);  // TCP knows no user
}

TEST_F(AllowedUidsTest, B17_TheListedOneIsServed) {
  StartFor(getuid());
  EXPECT_EQ(GetLocally("/version").status, 200);
}
}  // namespace
}  // namespace hearth::server
