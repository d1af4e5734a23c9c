// Rows H1–H20, H29–H34 of the catalogue, at the parser.
#include "server/http/request_head.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::Le;
using State = RequestHeadParser::State;

// The HTTP status of the refusal; 0 when the head is taken; -1 when it has no end.
int StatusOf(std::string_view bytes, const HeadLimits& limits = {}) {
  RequestHeadParser parser(limits);
  switch (parser.Feed(bytes)) {
    case State::kRefused:
      return parser.refusal().http_status;
    case State::kDone:
      return 0;
    case State::kMore:
      break;
  }
  return -1;
}

std::string Get(std::string_view headers) {
  return absl::StrCat("GET / HTTP/1.1\r\nHost: x\r\n", std::string(headers), "\r\n");
}

RequestHead Parse(std::string_view bytes) {
  RequestHeadParser parser(HeadLimits{});
  EXPECT_EQ(parser.Feed(bytes), State::kDone);
  return parser.head();
}

TEST(RequestHead, TakesAPlainRequestAndLeavesWhatFollows) {
  std::string_view bytes = "POST /v1/x?a=b HTTP/1.1\r\nHOST: h\r\nX-Y: \t v w \r\n\r\nbody";
  RequestHeadParser parser(HeadLimits{});
  ASSERT_EQ(parser.Feed(bytes), State::kDone);
  EXPECT_EQ(bytes, "body");
  EXPECT_EQ(parser.head().method, "POST");
  EXPECT_EQ(parser.head().path, "/v1/x");
  EXPECT_EQ(parser.head().query, "a=b");
  EXPECT_EQ(*parser.head().Find("x-y"), "v w");
  EXPECT_TRUE(parser.head().keep_alive);
  EXPECT_FALSE(parser.head().has_body());
}

TEST(RequestHead, TheOutcomeDoesNotDependOnHowTheBytesAreCut) {
  const std::string heads[] = {
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nConnection: x, Close\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "GET / HTTP/7.1\r\n\r\n",
      "\r\nGET / HTTP/1.0\r\n\r\n"};
  for (const std::string& head : heads) {
    const int whole = StatusOf(head);
    RequestHeadParser parser(HeadLimits{});
    int pieces = -1;
    for (char c : head) {
      std::string_view byte(&c, 1);
      const State state = parser.Feed(byte);
      if (state == State::kMore) continue;
      pieces = state == State::kDone ? 0 : parser.refusal().http_status;
      break;
    }
    EXPECT_EQ(pieces, whole) << head;
  }
}

TEST(RequestHead, H1_LongRequestLineIsRefusedWithoutItsEnd) {
  EXPECT_EQ(StatusOf(absl::StrCat("GET /", std::string(8192, 'a'))), 414);
  EXPECT_EQ(StatusOf(absl::StrCat("GET /", std::string(8000, 'a'), " HTTP/1.1\r\nHost: x\r\n\r\n")),
            0);
}

TEST(RequestHead, H2_LongHeaders) {
  EXPECT_EQ(StatusOf(Get(absl::StrCat("X: ", std::string(16384, 'a'), "\r\n"))), 431);
  EXPECT_EQ(StatusOf(Get(absl::StrCat("X: ", std::string(16000, 'a'), "\r\n"))), 0);
}

TEST(RequestHead, H3_TooManyHeaders) {
  std::string headers;
  for (int i = 0; i < 99; ++i) absl::StrAppend(&headers, "X", i, ": 1\r\n");
  EXPECT_EQ(StatusOf(Get(headers)), 0);  // Host is the hundredth
  EXPECT_EQ(StatusOf(Get(headers + "Y: 1\r\n")), 431);
}

TEST(RequestHead, H4_AMillionTinyHeadersAreRefusedEarly) {
  RequestHeadParser parser(HeadLimits{});
  std::string_view start = "GET / HTTP/1.1\r\n";
  ASSERT_EQ(parser.Feed(start), State::kMore);
  size_t fed = 0;
  State state = State::kMore;
  while (state == State::kMore) {
    std::string_view line = "a:\r\n";
    state = parser.Feed(line);
    ASSERT_LE(++fed, 200u);
  }
  EXPECT_EQ(parser.refusal().http_status, 431);
}

TEST(RequestHead, H5_BareLineFeed) {
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\nHost: x\n\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\rHost: x\r\n\r\n"), 400);
}

TEST(RequestHead, H6_ControlCharacters) {
  for (char c = 0; c < 0x20; ++c) {
    if (c == '\t' || c == '\r' || c == '\n') continue;
    EXPECT_EQ(StatusOf(Get(absl::StrCat("X: a", std::string(1, c), "b\r\n"))), 400) << int{c};
    EXPECT_EQ(StatusOf(absl::StrCat("GET /", std::string(1, c), " HTTP/1.1\r\nHost: x\r\n\r\n")),
              400);
  }
  EXPECT_EQ(StatusOf(Get("X: a\x7f\r\n")), 400);
  EXPECT_EQ(StatusOf(Get("X\t: a\r\n")), 400);
}

TEST(RequestHead, H7_SpaceBeforeTheColon) {
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(Get(": x\r\n")), 400);
  EXPECT_EQ(StatusOf(Get("novalue\r\n")), 400);
  EXPECT_EQ(StatusOf(Get("X(y): 1\r\n")), 400);
}

TEST(RequestHead, H8_ObsoleteFolding) {
  EXPECT_EQ(StatusOf(Get("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n Host: x\r\n\r\n"), 400);
}

TEST(RequestHead, H9_HostExactlyOnce) {
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(Get("Host: x\r\n")), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(RequestHead, H10_OtherVersions) {
  for (const char* version : {"HTTP/9.9", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9"}) {
    EXPECT_EQ(StatusOf(absl::StrCat("GET / ", version, "\r\nHost: x\r\n\r\n")), 505) << version;
  }
  for (const char* version : {"http/1.1", "HTTP/1.10", "HTTP/x.1", "HTTP/1", "HTTPS/1.1"}) {
    EXPECT_EQ(StatusOf(absl::StrCat("GET / ", version, "\r\nHost: x\r\n\r\n")), 400) << version;
  }
}

TEST(RequestHead, H11_OtherProtocols) {
  EXPECT_EQ(StatusOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7)), 400);
}

TEST(RequestHead, H12_UnknownMethods) {
  EXPECT_EQ(StatusOf("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("G@T / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}

TEST(RequestHead, H15_EscapesInTheTarget) {
  EXPECT_EQ(StatusOf("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET /% HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(Parse("GET /%00%2e%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n").path, "/%00%2e%0d%0a");
}

TEST(RequestHead, H16_OnlyOriginForm) {
  for (const char* line : {"GET http://x/ HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT x:80 HTTP/1.1",
                           "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1", "GET /",
                           "GET /#f HTTP/1.1", "GET /\xc3\xa4 HTTP/1.1", " GET / HTTP/1.1"}) {
    EXPECT_EQ(StatusOf(absl::StrCat(line, "\r\nHost: x\r\n\r\n")), 400) << line;
  }
}

TEST(RequestHead, H17_ContentLengthInDigitsOnly) {
  for (const std::string& value :
       {std::string("-1"), std::string("+5"), std::string("1e3"), std::string("0x5"), std::string(),
        std::string("18446744073709551616"), std::string(99, '9'), std::string("5, 5"),
        std::string("5 5"), std::string("\xd9\xa5")}) {
    EXPECT_EQ(StatusOf(Get(absl::StrCat("Content-Length: ", value, "\r\n"))), 400) << value;
  }
  EXPECT_EQ(Parse(Get("Content-Length: 18446744073709551615\r\n")).content_length,
            18446744073709551615u);
}

TEST(RequestHead, H18_TwoContentLengths) {
  EXPECT_EQ(StatusOf(Get("Content-Length: 5\r\ncontent-length: 5\r\n")), 400);
}

TEST(RequestHead, H19_ContentLengthAndTransferEncoding) {
  EXPECT_EQ(StatusOf(Get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), 400);
}

TEST(RequestHead, H20_OtherTransferEncodings) {
  const auto refused = AnyOf(Eq(400), Eq(501));
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding: gzip, chunked\r\n")), refused);
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding: chunked, chunked\r\n")), refused);
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding: xchunked\r\n")), refused);
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding: chunked;q=1\r\n")), refused);
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding:\r\n")), refused);
  EXPECT_THAT(StatusOf(Get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
              refused);
  EXPECT_THAT(StatusOf("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), refused);
  EXPECT_TRUE(Parse(Get("Transfer-Encoding: Chunked\r\n")).chunked);
}

TEST(RequestHead, H30_ContentEncoding) {
  EXPECT_EQ(StatusOf(Get("Content-Encoding: gzip\r\n")), 415);
  EXPECT_EQ(StatusOf(Get("Content-Encoding: br\r\n")), 415);
}

TEST(RequestHead, H34_OtherExpectations) {
  EXPECT_EQ(StatusOf(Get("Expect: 200-ok\r\n")), 417);
  EXPECT_TRUE(Parse(Get("Expect: 100-Continue\r\n")).expect_continue);
}

TEST(RequestHead, B10_TwoAuthorizations) {
  EXPECT_EQ(StatusOf(Get("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")), 400);
}

TEST(RequestHead, ConnectionCloseIsOneOfAList) {
  EXPECT_FALSE(Parse(Get("Connection: keep-alive, CLOSE\r\n")).keep_alive);
  EXPECT_TRUE(Parse(Get("Connection: keep-alive, closed\r\n")).keep_alive);
  EXPECT_FALSE(Parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
}

TEST(RequestHead, OneEmptyLineMayComeFirst) {
  EXPECT_EQ(StatusOf(absl::StrCat("\r\n", Get(""))), 0);
  EXPECT_EQ(StatusOf(absl::StrCat("\r\n\r\n", Get(""))), 400);
}

int BodyStatus(std::string_view headers) {
  const auto refusal = CheckJsonBody(Parse(Get(headers)), 1000);
  return refusal ? refusal->http_status : 0;
}

TEST(RequestHead, H23_BodyBeyondTheCap) {
  EXPECT_EQ(BodyStatus("Content-Type: application/json\r\nContent-Length: 1000\r\n"), 0);
  EXPECT_EQ(BodyStatus("Content-Type: application/json\r\nContent-Length: 1001\r\n"), 413);
}

TEST(RequestHead, H29_NoLength) {
  EXPECT_EQ(BodyStatus("Content-Type: application/json\r\n"), 411);
  EXPECT_EQ(BodyStatus("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"), 0);
}

TEST(RequestHead, H31_H32_OtherContentTypes) {
  EXPECT_EQ(BodyStatus("Content-Length: 2\r\n"), 415);
  for (const char* type : {"multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
                           "text/plain", "application/jsonx", "", "text/plain, application/json"}) {
    EXPECT_EQ(BodyStatus(absl::StrCat("Content-Length: 2\r\nContent-Type: ", type, "\r\n")), 415)
        << type;
  }
  EXPECT_EQ(BodyStatus("Content-Length: 2\r\nContent-Type: Application/JSON ; a=b\r\n"), 0);
}

TEST(RequestHead, H33_OtherCharsets) {
  const auto status = [](const char* parameters) {
    return BodyStatus(
        absl::StrCat("Content-Length: 2\r\nContent-Type: application/json", parameters, "\r\n"));
  };
  EXPECT_EQ(status("; charset=UTF-8"), 0);
  EXPECT_EQ(status("; charset=\"utf-8\""), 0);
  EXPECT_EQ(status(";charset=utf-16"), 415);
  EXPECT_EQ(status("; charset="), 415);
  EXPECT_EQ(status("; charset=utf-8; charset=latin1"), 415);
}

}  // namespace
}  // namespace hearth::server
