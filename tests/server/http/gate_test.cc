// Rows H, B, J and F14, F17 of the catalogue on real sockets. The daemon is still loading: a
// request that passes the gate and its checks gets 503 with the code "loading".
#include "server/http/gate.h"

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

// A bound for what takes milliseconds, on a busy machine and under sanitizers; what it bounds would
// otherwise go on for ever.
constexpr absl::Duration kMuchLater = absl::Seconds(8);
constexpr char kChat[] = R"({"messages":[{"role":"user","content":"hi"}]})";

class GateTest : public EitherWay {
 protected:
  GateTest() {
    v1::Limits& limits = *config_.mutable_limits();
    limits.set_header_timeout_ms(300);
    limits.set_body_timeout_ms(400);
    limits.set_idle_timeout_ms(600);
    limits.set_max_connections(20);
    limits.set_max_body_bytes(4096);
  }
  void SetUp() override { Start(); }

  // The status of the reply, which must carry an error object and end the connection.
  int RefusedAndClosed(std::string_view bytes) const {
    RawClient client(listener());
    client.Send(bytes);
    const RawReply reply = client.Receive();
    EXPECT_FALSE(reply.error("message").empty());
    EXPECT_EQ(reply.headers.at("connection"), "close");
    EXPECT_TRUE(client.Ends()) << bytes;
    return reply.status;
  }
};

INSTANTIATE_TEST_SUITE_P(, GateTest, testing::Bool(), EitherWay::Name);

TEST_P(GateTest, H1_H2_H3_TooLongIsRefusedAndClosed) {
  EXPECT_EQ(RefusedAndClosed(absl::StrCat("GET /", std::string(100'000, 'a'))), 414);
  EXPECT_EQ(RefusedAndClosed(RequestText("GET", "/health", "",
                                         absl::StrCat("X: ", std::string(60'000, 'a'), "\r\n"))),
            431);
  std::string headers;
  for (int i = 0; i < 101; ++i) absl::StrAppend(&headers, "X", i, ": 1\r\n");
  EXPECT_EQ(RefusedAndClosed(RequestText("GET", "/health", "", headers)), 431);
}

TEST_P(GateTest, H5_H6_H7_H8_H9_H10_H11_MalformedHeadsAreRefusedAndClosed) {
  EXPECT_EQ(RefusedAndClosed("GET /health HTTP/1.1\nHost: localhost\n\n"), 400);
  EXPECT_EQ(RefusedAndClosed(std::string_view("GET /health HTTP/1.1\r\nHost: a\0b\r\n\r\n", 34)),
            400);
  EXPECT_EQ(RefusedAndClosed("GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n"), 400);
  EXPECT_EQ(RefusedAndClosed(RequestText("GET", "/health", "", "X: a\r\n b\r\n")), 400);
  EXPECT_EQ(RefusedAndClosed("GET /health HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(RefusedAndClosed(RequestText("GET", "/health", "", "Host: localhost\r\n")), 400);
  EXPECT_EQ(RefusedAndClosed("GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n"), 505);
  EXPECT_EQ(RefusedAndClosed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400);
  EXPECT_EQ(RefusedAndClosed(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)),
            400);
}

TEST_P(GateTest, H12_H16_MethodsAndTargets) {
  EXPECT_EQ(RefusedAndClosed("get /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501);
  EXPECT_EQ(RefusedAndClosed("BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501);
  EXPECT_EQ(RefusedAndClosed("GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            400);
  EXPECT_EQ(RefusedAndClosed("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
  EXPECT_EQ(RefusedAndClosed("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
  EXPECT_EQ(Exchange(RequestText("TRACE", "/health")).status, 405);
}

TEST_P(GateTest, H13_WrongMethodNamesTheRightOnes) {
  const RawReply chat = Get("/v1/chat/completions");
  EXPECT_EQ(chat.status, 405);
  EXPECT_EQ(chat.headers.at("allow"), "POST");
  EXPECT_EQ(chat.error("type"), "invalid_request_error");
  const RawReply models = Post("/v1/models", "{}");
  EXPECT_EQ(models.status, 405);
  EXPECT_EQ(models.headers.at("allow"), "GET, HEAD");
}

TEST_P(GateTest, H14_H15_UnknownPaths) {
  EXPECT_EQ(Get("/nowhere").error("code"), "unknown_url");
  for (const char* path :
       {"/", "/v1", "/v1/", "/v1/models/", "//health", "/health/", "/health;x", "/%68ealth",
        "/health%00", "/v1/%2e%2e/health", "/v1/../health", "/V1/models", "/health%0d%0aX:%201"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
  EXPECT_EQ(Get("/health?x=%00&y=%0d%0a").status, 200);
  EXPECT_EQ(RefusedAndClosed(RequestText("GET", "/%zz")), 400);
}

TEST_P(GateTest, H17_H18_H19_H20_AmbiguousBodiesAreRefusedAndClosed) {
  const auto post = [this](const char* headers) {
    return RefusedAndClosed(
        absl::StrCat("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\n",
                     headers, "\r\n{}"));
  };
  EXPECT_EQ(post("Content-Length: -1\r\n"), 400);
  EXPECT_EQ(post("Content-Length: +5\r\n"), 400);
  EXPECT_EQ(post("Content-Length: 18446744073709551616\r\n"), 400);
  EXPECT_EQ(post("Content-Length: 2\r\nContent-Length: 2\r\n"), 400);
  EXPECT_EQ(post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(post("Transfer-Encoding: gzip, chunked\r\n"), 501);
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
}

std::string Chunked(std::string_view coding) {
  return absl::StrCat(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
      std::string(coding));
}

TEST_P(GateTest, H21_MalformedChunksAreRefusedAndClosed) {
  EXPECT_EQ(RefusedAndClosed(Chunked("-2\r\n")), 400);
  EXPECT_EQ(RefusedAndClosed(Chunked("zz\r\n")), 400);
  EXPECT_EQ(RefusedAndClosed(Chunked("00000000000000001\r\n")), 400);
  EXPECT_EQ(RefusedAndClosed(Chunked(absl::StrCat("1;", std::string(65536, 'x')))), 400);
}

TEST_P(GateTest, H22_ChunkedBodyIsTakenAndTheConnectionKept) {
  std::string coding;
  for (char c : std::string_view(kChat))
    absl::StrAppend(&coding, "1\r\n", std::string(1, c), "\r\n");
  RawClient client(listener());
  client.Send(Chunked(absl::StrCat(coding, "0\r\n\r\n")));
  EXPECT_EQ(client.Receive().error("code"), "loading");
  client.Send(RequestText("GET", "/health"));
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_P(GateTest, H23_H24_BodyBeyondTheCapIsRefusedAndClosed) {
  // By Content-Length: before a byte of it is sent.
  EXPECT_EQ(RefusedAndClosed("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                             "Content-Type: application/json\r\nContent-Length: 4097\r\n\r\n"),
            413);
  // A client that sends it all the same still sees the reply.
  EXPECT_EQ(RefusedAndClosed(RequestText("POST", "/v1/completions", std::string(200'000, 'x'))),
            413);
  EXPECT_EQ(
      RefusedAndClosed(Chunked(absl::StrCat("1000\r\n", std::string(4096, 'x'), "\r\n1\r\n"))),
      413);
}

TEST_P(GateTest, H25_ShortBodyThenFinGetsNoReply) {
  RawClient client(listener());
  client.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"prompt\"");
  client.HalfClose();
  EXPECT_EQ(client.Receive().status, 0);
}

TEST_P(GateTest, H26_H27_F14_SlowRequestsAreCutAtTheirTotalDeadline) {
  const auto drip = [this](std::string_view start) {
    RawClient client(listener());
    client.Send(start);
    std::thread dripping([&client] {
      while (client.Send("x")) absl::SleepFor(absl::Milliseconds(25));
    });
    const absl::Time began = absl::Now();
    const RawReply reply = client.Receive();
    EXPECT_LT(absl::Now() - began, kMuchLater);
    dripping.join();
    return reply.status;
  };
  EXPECT_EQ(drip("GET /health HTTP/1.1\r\nX: "), 408);
  EXPECT_EQ(drip("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                 "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"),
            408);
}

TEST_P(GateTest, H28_SilentConnectionIsClosedWithoutReply) {
  RawClient client(listener());
  EXPECT_EQ(client.ReceiveUntil("\r\n"), "");
  EXPECT_TRUE(client.Ends(absl::Seconds(2)));
}

TEST_P(GateTest, H29_H30_H31_H32_H33_BodiesOfOtherKinds) {
  const auto post = [this](std::string_view headers) {
    return Exchange(absl::StrCat("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n",
                                 std::string(headers), "\r\n"))
        .status;
  };
  EXPECT_EQ(post("Content-Type: application/json\r\n"), 411);
  EXPECT_EQ(
      post("Content-Type: application/json\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n"),
      415);
  EXPECT_EQ(post("Content-Type: text/plain\r\nContent-Length: 0\r\n"), 415);
  EXPECT_EQ(post("Content-Type: multipart/form-data; boundary=a\r\nContent-Length: 0\r\n"), 415);
  EXPECT_EQ(post("Content-Length: 0\r\n"), 415);
  EXPECT_EQ(post("Content-Type: application/json; charset=utf-16\r\nContent-Length: 0\r\n"), 415);
}

TEST_P(GateTest, H34_ExpectIsAnsweredOnlyWhenTheBodyIsWelcome) {
  const auto head = [](int length) {
    return absl::StrCat(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nExpect: 100-continue\r\n"
        "Content-Length: ",
        length, "\r\n\r\n");
  };
  RawClient welcome(listener());
  welcome.Send(head(sizeof(kChat) - 1));
  EXPECT_EQ(welcome.ReceiveUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  welcome.Send(kChat);
  EXPECT_EQ(welcome.Receive().status, 503);
  RawClient too_long(listener());
  too_long.Send(head(5000));
  EXPECT_EQ(too_long.Receive().status, 413);
  EXPECT_EQ(Get("/health", "Expect: more\r\n").status, 417);
}

TEST_P(GateTest, H35_PipelinedRequestsAreAnsweredInOrder) {
  RawClient client(listener());
  client.Send(absl::StrCat(RequestText("GET", "/health"), RequestText("GET", "/nowhere"),
                           RequestText("POST", "/v1/chat/completions", kChat),
                           RequestText("GET", "/ready")));
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(client.Receive().status, 404);
  EXPECT_EQ(client.Receive().status, 503);
  EXPECT_EQ(client.Receive().status, 503);
}

TEST_P(GateTest, H36_BodyOfAGetIsNeverParsedAsARequest) {
  const std::string inner = RequestText("GET", "/nowhere");
  RawClient client(listener());
  client.Send(absl::StrCat("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: ",
                           inner.size(), "\r\n\r\n", inner));
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(client.Receive().status, 0);
}

TEST_P(GateTest, H37_H39_H40_HeadersThatMeanNothingHere) {
  EXPECT_EQ(Get("/health", absl::StrCat("Range: bytes=0-", std::string(8000, '1'), "\r\n")).status,
            200);
  EXPECT_EQ(Get("/health", "Range: bytes=0-1\r\n").body, R"({"status":"ok"})");
  EXPECT_EQ(Get("/health", "REMOTE_ADDR: 1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\n").status, 200);
  EXPECT_EQ(Get("/health", "Upgrade: h2c\r\nConnection: Upgrade\r\n").status, 200);
  EXPECT_EQ(Get("/health", "Accept-Encoding: gzip, br\r\n").body, R"({"status":"ok"})");
}

TEST_P(GateTest, H38_RepliesCarryTheDaemonsOwnRequestId) {
  const RawReply reply = Get("/health", "X-Request-Id: a%0d%0aX: 1\r\n");
  EXPECT_THAT(reply.headers.at("x-request-id"), testing::MatchesRegex("req_[0-9a-f]+"));
  EXPECT_EQ(reply.headers.count("x"), 0u);
  EXPECT_NE(Get("/health").headers.at("x-request-id"), reply.headers.at("x-request-id"));
}

TEST_P(GateTest, S13_HeadAndOldClients) {
  RawClient client(listener());
  client.Send(absl::StrCat(RequestText("HEAD", "/health"), RequestText("GET", "/health")));
  const RawReply head = client.Receive(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "15");
  EXPECT_EQ(client.Receive().body, R"({"status":"ok"})");
  RawClient old(listener());
  old.Send("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Receive().status, 200);
  EXPECT_TRUE(old.Ends());
}

TEST_P(GateTest, ConnectionCloseIsHonoured) {
  RawClient client(listener());
  client.Send(RequestText("GET", "/health", "", "Connection: close\r\n"));
  EXPECT_EQ(client.Receive().headers.at("connection"), "close");
  EXPECT_TRUE(client.Ends());
}

TEST_P(GateTest, B1_B3_B4_B5_OtherHostsAndOriginsAreForbidden) {
  const RawReply host = Exchange("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_EQ(host.status, 403);
  EXPECT_EQ(host.error("type"), "permission_error");
  for (const char* origin : {"https://evil.example", "null"}) {
    const std::string header = absl::StrCat("Origin: ", origin, "\r\n");
    const RawReply reply = Post("/v1/chat/completions", kChat, header);
    EXPECT_EQ(reply.status, 403);
    EXPECT_EQ(reply.headers.count("access-control-allow-origin"), 0u);
    const RawReply preflight = Exchange(RequestText("OPTIONS", "/v1/chat/completions", "", header));
    EXPECT_EQ(preflight.status, 403);
    EXPECT_EQ(preflight.headers.count("access-control-allow-origin"), 0u);
  }
}

TEST_P(GateTest, B4_PagesOfLoopbackOriginsMayAskAndRead) {
  const std::string origin = "Origin: http://localhost:3000\r\n";
  for (const char* path : {"/v1/chat/completions", "/nowhere"}) {
    RawClient client(listener());
    client.Send(RequestText("OPTIONS", path, "",
                            origin + "Access-Control-Request-Method: POST\r\n"
                                     "Access-Control-Request-Headers: authorization\r\n"));
    const RawReply preflight = client.Receive(/*no_body=*/true);
    EXPECT_EQ(preflight.status, 204);
    EXPECT_EQ(preflight.headers.at("access-control-allow-origin"), "http://localhost:3000");
    EXPECT_EQ(preflight.headers.at("vary"), "Origin");
    EXPECT_THAT(preflight.headers.at("access-control-allow-methods"), HasSubstr("POST"));
    EXPECT_THAT(preflight.headers.at("access-control-allow-headers"), HasSubstr("Authorization"));
    EXPECT_EQ(preflight.headers.count("access-control-allow-credentials"), 0u);
    EXPECT_EQ(preflight.headers.count("content-length"), 0u);
    client.Send(RequestText("POST", "/v1/chat/completions", kChat, origin));
    const RawReply reply = client.Receive();
    EXPECT_EQ(reply.error("code"), "loading");  // errors are for pages to read too
    EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "http://localhost:3000");
    EXPECT_EQ(reply.headers.at("vary"), "Origin");
  }
  EXPECT_EQ(Get("/health").headers.count("access-control-allow-origin"), 0u);
  EXPECT_EQ(Exchange(RequestText("OPTIONS", "/health", "", origin)).status, 405);
}

TEST_P(GateTest, UnixSocketsServeAnyHost) {
  RawClient client(local());
  client.Send("GET /health HTTP/1.1\r\nHost: anything\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_P(GateTest, J1_J2_J3_J4_J5_J8_J10_J11_J12_BodiesThatAreNoRequest) {
  EXPECT_EQ(Post("/v1/completions", "").status, 400);
  const std::string deep = absl::StrCat("{\"a\":", std::string(70, '['), std::string(70, ']'), "}");
  for (const char* body :
       {"{", "{} {}", "[]", "\"x\"", "null", "{\"prompt\":\"a\",\"prompt\":\"b\"}",
        "{\"prompt\":\"\xff\"}", "{\"prompt\":\"\\ud800\"}", "{\"n\":1e999}", deep.c_str()}) {
    const RawReply reply = Post("/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.error("type"), "invalid_request_error");
  }
}

TEST_P(GateTest, F14_F17_ConnectionsThatOnlyWaitKeepNobodyOut) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(listener()));
    if (i % 2 == 0) clients.back()->Send("GET /health HTTP/1.1\r\n");  // and no more
    ASSERT_TRUE(Eventually([&] { return server_->open_connections() == i + 1; }));
  }
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_TRUE(clients.front()->Ends(kMuchLater));  // it had waited longest
  const RawReply metrics = Get("/metrics");
  EXPECT_THAT(metrics.body, HasSubstr("hearth_connections_shed_total{transport=\"http\"}"));
  RawClient local_client(local());
  local_client.Send(RequestText("GET", "/health"));
  EXPECT_EQ(local_client.Receive().status, 200);
}

TEST_P(GateTest, LoadingDaemonSaysSo) {
  EXPECT_EQ(Get("/health").body, R"({"status":"ok"})");
  for (const char* path : {"/ready", "/v1/models", "/v1/models/x"}) {
    const RawReply reply = Get(path);
    EXPECT_EQ(reply.status, 503) << path;
    EXPECT_EQ(reply.error("code"), "loading");
    EXPECT_EQ(reply.headers.count("retry-after"), 1u);
  }
  EXPECT_EQ(Get("/version").status, 200);
  EXPECT_FALSE(Get("/version").json()["version"].get<std::string>().empty());
  const RawReply metrics = Get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.headers.at("content-type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("/health"));
}

TEST_P(GateTest, DrainEndsIdleConnectionsAndRefusesNewOnes) {
  RawClient idle(listener());
  idle.Send(RequestText("GET", "/health"));
  EXPECT_EQ(idle.Receive().status, 200);
  const absl::Time began = absl::Now();
  server_->Drain(absl::Minutes(5));
  EXPECT_LT(absl::Now() - began, kMuchLater);
  EXPECT_TRUE(idle.Ends());
  EXPECT_EQ(server_->open_connections(), 0);
}

TEST_P(GateTest, DrainCutsWhatOutstaysIt) {
  RawClient stuck(listener());
  stuck.Send("GET /health HTTP/1.1\r\n");
  ASSERT_TRUE(Eventually([&] { return server_->open_connections() == 1; }));
  server_->Drain(absl::Milliseconds(50));
  EXPECT_EQ(stuck.Receive().status, 0);  // a 408 would say that it was waited for
}

class TlsGateTest : public GateTest {};
INSTANTIATE_TEST_SUITE_P(, TlsGateTest, testing::Values(true), EitherWay::Name);

TEST_P(TlsGateTest, H11_F14_WhatShakesNoHandsIsClosedInTime) {
  for (const std::string& start :
       {std::string(), std::string("\x16\x03\x01"), RequestText("GET", "/health")}) {
    RawClient client(listener(), /*plain=*/true);
    client.Send(start);
    const absl::Time began = absl::Now();
    EXPECT_TRUE(client.Ends(kMuchLater)) << start;
    EXPECT_LT(absl::Now() - began, kMuchLater);
  }
  RawClient dripping(listener(), /*plain=*/true);
  EXPECT_TRUE(Eventually([&] {
    absl::SleepFor(absl::Milliseconds(20));
    return !dripping.Send(std::string_view("\x16\x03\x01\x40\x00", 5)) ||
           server_->open_connections() == 0;
  }));
  EXPECT_EQ(Get("/health").status, 200);
}

}  // namespace
}  // namespace hearth::server
