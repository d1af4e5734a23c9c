#include "server/http/chunked_decoder.h"

#include <chrono>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

using State = ChunkedDecoder::State;

struct Decoded {
  int refused = 0;  // HTTP status; -1 when the coding has no end
  std::string body;
  std::string rest;
};

Decoded Decode(std::string_view bytes, uint64_t max_body = 1000) {
  ChunkedDecoder decoder(max_body);
  Decoded decoded;
  const State state = decoder.Feed(bytes, decoded.body);
  decoded.rest = std::string(bytes);
  if (state == State::kRefused) decoded.refused = decoder.refusal().http_status;
  if (state == State::kMore) decoded.refused = -1;
  return decoded;
}

TEST(ChunkedDecoder, TakesChunksAndLeavesWhatFollows) {
  const Decoded decoded = Decode("3\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\r\nGET /");
  EXPECT_EQ(decoded.refused, 0);
  EXPECT_EQ(decoded.body, "abc0123456789");
  EXPECT_EQ(decoded.rest, "GET /");
}

TEST(ChunkedDecoder, DropsExtensionsAndTrailers) {
  const Decoded decoded = Decode("3;a=\"b\"\r\nabc\r\n0 ;x\r\nX-Y: z\r\nW: v\r\n\r\n");
  EXPECT_EQ(decoded.refused, 0);
  EXPECT_EQ(decoded.body, "abc");
}

TEST(ChunkedDecoder, TheOutcomeDoesNotDependOnHowTheBytesAreCut) {
  for (const std::string_view whole :
       {"3\r\nabc\r\n1;e\r\nd\r\n0\r\nT: t\r\n\r\n", "3\r\nabcd\r\n", "5\r\nabc", "2\nab\r\n"}) {
    const Decoded expected = Decode(whole);
    ChunkedDecoder decoder(1000);
    std::string body;
    State state = State::kMore;
    for (size_t i = 0; i < whole.size() && state == State::kMore; ++i) {
      std::string_view byte = whole.substr(i, 1);
      state = decoder.Feed(byte, body);
    }
    EXPECT_EQ(body, expected.body) << whole;
    EXPECT_EQ(state == State::kRefused, expected.refused > 0) << whole;
    EXPECT_EQ(state == State::kDone, expected.refused == 0) << whole;
  }
}

TEST(ChunkedDecoder, H21_MalformedSizes) {
  for (const std::string& coding :
       {std::string("-2\r\nab\r\n"), std::string("zz\r\n"), std::string("\r\n"),
        std::string(" 2\r\n"), std::string("+2\r\n"), std::string("0x2\r\n"), std::string("2 2\n"),
        std::string(17, '0') + "\r\n", std::string("2\nab\r\n"), std::string("2\r\nabc\r\n"),
        std::string("2\r\nab\n"), std::string("2\r\nab0\r\n\r\n"), std::string("2;\x01\r\n"),
        std::string("0\r\nX: y\n\r\n"), std::string("0\r\n\r\r")}) {
    EXPECT_EQ(Decode(coding).refused, 400) << coding;
  }
}

TEST(ChunkedDecoder, H21_LongExtensionsAndTrailers) {
  EXPECT_EQ(Decode("1;" + std::string(65536, 'x')).refused, 400);
  EXPECT_EQ(Decode("0\r\n" + std::string(65536, 'x')).refused, 400);
  std::string many;
  for (int i = 0; i < 600; ++i) many += "1;e\r\nx\r\n";
  EXPECT_EQ(Decode(many).refused, 400);
}

TEST(ChunkedDecoder, H24_BodyBeyondTheCap) {
  EXPECT_EQ(Decode("3e8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n").refused, 0);
  EXPECT_EQ(Decode("3e9\r\n").refused, 413);
  EXPECT_EQ(Decode("ffffffffffffffff\r\n").refused, 413);
  EXPECT_EQ(Decode("3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n").refused, 413);
}

TEST(ChunkedDecoder, H22_HalfAMillionChunksOfOneByteAreCheap) {
  std::string coding;
  for (int i = 0; i < 500'000; ++i) coding += "1\r\nx\r\n";
  coding += "0\r\n\r\n";
  const std::clock_t began = std::clock();
  const Decoded decoded = Decode(coding, 1 << 20);
  const double seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  EXPECT_EQ(decoded.refused, 0);
  EXPECT_EQ(decoded.body.size(), 500'000u);
  EXPECT_LT(seconds, 5);  // a tenth of it even under sanitizers; minutes, were it quadratic
}

}  // namespace
}  // namespace hearth::server
