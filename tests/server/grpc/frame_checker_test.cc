// What of HTTP/2 reaches gRPC, rows G16 to G18 and G21.
#include "server/grpc/frame_checker.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/http2_connection.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kMaxHeaderBlock = 16 * 1024;

class FrameCheckerTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Check(std::string(kPreface)).ok()); }

  absl::Status Check(const std::string& bytes) { return checker_.Check(bytes, now_); }
  absl::Status Frame(uint8_t type, uint8_t flags, uint32_t stream, size_t length = 0) {
    return Check(EncodeFrame(type, flags, stream, std::string(length, 'x')));
  }
  void Acknowledge() { ASSERT_TRUE(Frame(kSettings, kAck, 0).ok()); }

  FrameChecker::Clock::time_point now_{};
  FrameChecker checker_{kMaxHeaderBlock, now_};
};

TEST_F(FrameCheckerTest, OrdinaryCallsPass) {
  EXPECT_TRUE(Frame(kSettings, kNoFlag, 0, 24).ok());
  Acknowledge();
  for (uint32_t call = 0; call < 10'000; ++call) {
    EXPECT_TRUE(Frame(kHeaders, kEndHeaders, 2 * call + 1, 300).ok());
    EXPECT_TRUE(Frame(kData, kNoFlag, 2 * call + 1, 16 * 1024).ok());
    EXPECT_TRUE(Frame(kData, kEndStream, 2 * call + 1, 0).ok());
    EXPECT_TRUE(Frame(kWindowUpdate, kNoFlag, 0, 4).ok());
    EXPECT_TRUE(Frame(kPing, kAck, 0, 8).ok());
  }
}

TEST_F(FrameCheckerTest, BytesOneByOneGiveTheSameVerdict) {
  const std::string good = EncodeFrame(kHeaders, kEndHeaders, 1, std::string(100, 'x')) +
                           EncodeFrame(kData, kEndStream, 1, "abc");
  for (char c : good) EXPECT_TRUE(Check(std::string(1, c)).ok());
  const std::string bad = EncodeFrame(kContinuation, kEndHeaders, 1, "");
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(Check(bad.substr(i, 1)).ok(), i + 1 < bad.size());
  }
}

TEST(FrameChecker, G21_OtherProtocolsAreRefusedAtTheFirstWrongByte) {
  for (const std::string hello : {"GET / HTTP/1.1\r\n", "\x16\x03\x01", "PRI * HTTP/1.1\r\n"}) {
    FrameChecker checker(kMaxHeaderBlock, {});
    EXPECT_FALSE(checker.Check(hello, {}).ok()) << hello;
  }
}

TEST_F(FrameCheckerTest, G18_HeaderBlocksAreBoundedOverAllTheirFrames) {
  EXPECT_TRUE(Frame(kHeaders, kNoFlag, 1, 8 * 1024).ok());
  EXPECT_TRUE(Frame(kContinuation, kEndHeaders, 1, 8 * 1024).ok());
  EXPECT_TRUE(Frame(kHeaders, kNoFlag, 3, 8 * 1024).ok());
  EXPECT_FALSE(Frame(kContinuation, kNoFlag, 3, 8 * 1024 + 1).ok());
}

TEST_F(FrameCheckerTest, G18_HeaderBlocksOfManyFramesAreRefused) {
  EXPECT_TRUE(Frame(kHeaders, kNoFlag, 1).ok());
  int frames = 0;
  while (frames < 100 && Frame(kContinuation, kNoFlag, 1).ok()) ++frames;
  EXPECT_EQ(frames, 7);
}

TEST_F(FrameCheckerTest, HeaderBlocksCannotBeInterrupted) {
  EXPECT_TRUE(Frame(kHeaders, kNoFlag, 1, 10).ok());
  EXPECT_FALSE(Frame(kData, kNoFlag, 1, 10).ok());
}

TEST_F(FrameCheckerTest, FramesBeyondWhatIsOfferedAreRefused) {
  EXPECT_TRUE(Frame(kData, kNoFlag, 1, 16 * 1024).ok());
  EXPECT_FALSE(Check(EncodeFrame(kData, kNoFlag, 1, std::string(16 * 1024 + 1, 'x'))).ok());
}

TEST_F(FrameCheckerTest, G16_StreamsNeedOurSettingsAcknowledged) {
  for (uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(Frame(kHeaders, kEndHeaders, 2 * i + 1, 10).ok());
  EXPECT_FALSE(Frame(kHeaders, kEndHeaders, 201, 10).ok());
}

TEST_F(FrameCheckerTest, G17_ResetsAreRationed) {
  Acknowledge();
  int resets = 0;
  while (resets < 100'000 && Frame(kReset, kNoFlag, 1, 4).ok()) ++resets;
  EXPECT_GE(resets, 100);  // all of a client's streams at once
  EXPECT_LE(resets, 200);
}

TEST_F(FrameCheckerTest, G17_CancellingNowAndThenIsFine) {
  Acknowledge();
  for (int i = 0; i < 10'000; ++i) {
    now_ += milliseconds(10);
    EXPECT_TRUE(Frame(kReset, kNoFlag, 1, 4).ok());
  }
}

TEST_F(FrameCheckerTest, EmptySettingsPrioritiesAndDataAreRationedToo) {
  for (uint8_t type : {kSettings, FrameType{2}, kData}) {
    FrameChecker checker(kMaxHeaderBlock, now_);
    ASSERT_TRUE(checker.Check(kPreface, now_).ok());
    const std::string frame = EncodeFrame(type, kNoFlag, 1, "");
    int sent = 0;
    while (sent < 10'000 && checker.Check(frame, now_).ok()) ++sent;
    EXPECT_EQ(sent, 200);
  }
}

}  // namespace
}  // namespace hearth::server
