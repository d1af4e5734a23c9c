// Abuse of HTTP/2 below gRPC: it costs its own connection, and a sibling's call goes on.
#include <grpcpp/client_context.h>
#include <sys/resource.h>

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/http2_connection.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kGetLoad[] = "/hearth.v1.Control/GetLoad";
constexpr char kGenerate[] = "/hearth.v1.Inference/Generate";

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto total = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
  return total(usage.ru_utime) + total(usage.ru_stime);
}

// Whether the server ends stream 1, with a status or a reset, or the connection.
bool Ends(Http2Connection& connection) {
  while (const auto frame = connection.Read(seconds(5))) {
    if (frame->type == kGoAway) return true;
    if (frame->stream != 1) continue;
    if (frame->type == kReset || (frame->flags & kEndStream) != 0) return true;
  }
  return connection.AwaitClose(milliseconds(0));
}

class Http2Test : public testing::Test {
 protected:
  void TearDown() override {
    grpc::ClientContext context;
    v1::GetLoadResponse load;
    const grpc::Status status = sibling_->GetLoad(&context, {}, &load);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(served_.AwaitIdle());
  }

  ServedDaemon served_;
  std::unique_ptr<v1::Control::Stub> sibling_ = served_.Control();
};

TEST_F(Http2Test, ACallByHandIsAnswered) {
  Http2Connection connection(served_.port());
  connection.Greet();
  connection.SendCall(1, kGetLoad, "");
  const auto headers = connection.ReadUntil(kHeaders, seconds(5));
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->stream, 1u);
  EXPECT_TRUE(connection.ReadUntil(kData, seconds(5)));
}

TEST_F(Http2Test, G16_StreamsBeyondTheLimitAreRefused) {
  Http2Connection connection(served_.port());
  connection.Greet();
  for (uint32_t i = 0; i <= 100; ++i) {  // calls that never send their message
    connection.SendFrame(kHeaders, kEndHeaders, 2 * i + 1, EncodeFields(CallFields(kGenerate)));
  }
  bool refused = false;
  while (!refused) {
    const auto frame = connection.Read(seconds(5));
    if (!frame) break;
    refused = frame->type == kGoAway || (frame->type == kReset && frame->stream == 201);
  }
  EXPECT_TRUE(refused || connection.AwaitClose(milliseconds(0)));
}

TEST_F(Http2Test, G16_ClientsThatIgnoreTheLimitAreClosed) {
  Http2Connection connection(served_.port());
  connection.Greet({}, /*acknowledge=*/false);
  const std::string fields = EncodeFields(CallFields(kGenerate));
  for (uint32_t i = 0; i <= 100; ++i)
    connection.SendFrame(kHeaders, kEndHeaders, 2 * i + 1, fields);
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
}

TEST_F(Http2Test, G17_RapidResetIsClosed) {
  const int threads = ThreadCount();
  const int64_t resident = ResidentBytes();
  const double cpu = CpuSeconds();
  const std::string message = EncodeMessage(LongRequest(900).SerializeAsString());
  const std::string fields = EncodeFields(CallFields(kGenerate));
  Http2Connection connection(served_.port());
  connection.Greet();
  constexpr uint32_t kResets = 100'000;
  uint32_t sent = 0;
  while (sent < kResets &&
         connection.Send(EncodeFrame(kHeaders, kEndHeaders, 2 * sent + 1, fields) +
                         EncodeFrame(kData, kEndStream, 2 * sent + 1, message) +
                         EncodeFrame(kReset, kNoFlag, 2 * sent + 1, BigEndian32(8)))) {
    ++sent;
  }
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
  EXPECT_LT(sent, kResets);
  EXPECT_TRUE(served_.AwaitIdle());
  EXPECT_LT(CpuSeconds() - cpu, 3);
  EXPECT_LE(ThreadCount(), threads + 4);
  EXPECT_LT(ResidentBytes() - resident, 64 * 1024 * 1024);
}

// Sends a header block of so many frames of 16 KB that never ends. Returns the bytes that went out
// before the server closed.
size_t Flood(int port, const std::string& start, const std::string& filler, int frames) {
  Http2Connection connection(port);
  connection.Greet();
  connection.SendFrame(kHeaders, kNoFlag, 1, start);
  size_t sent = 0;
  for (int i = 0; i < frames && connection.SendFrame(kContinuation, kNoFlag, 1, filler); ++i) {
    sent += filler.size();
  }
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
  return sent;
}

TEST_F(Http2Test, G18_ContinuationFloodIsClosed) {
  const int64_t resident = ResidentBytes();
  const std::string filler = EncodeFields({{"x-filler", std::string(16'000, 'a')}});
  Flood(served_.port(), EncodeFields(CallFields(kGetLoad)), filler, 2'000);
  EXPECT_LT(ResidentBytes() - resident, 8 * 1024 * 1024);
}

TEST_F(Http2Test, G18_AnEndlessFieldIsClosed) {
  const int64_t resident = ResidentBytes();
  // The value's length says 256 MB.
  const std::string start =
      EncodeFields(CallFields(kGetLoad)) + std::string("\x10\x01x\x7f\x81\xff\xff\x7f", 8);
  Flood(served_.port(), start, std::string(16'000, 'a'), 4'000);
  EXPECT_LT(ResidentBytes() - resident, 8 * 1024 * 1024);
}

TEST_F(Http2Test, G18_100KilobytesOfMetadataAreRefused) {
  Fields fields = CallFields(kGetLoad);
  for (int i = 0; i < 50; ++i) fields.emplace_back("x-filler", std::string(2'000, 'a'));
  const std::string block = EncodeFields(fields);
  Http2Connection connection(served_.port());
  connection.Greet();
  for (size_t at = 0; at < block.size(); at += 16'000) {
    const bool last = at + 16'000 >= block.size();
    connection.SendFrame(at == 0 ? kHeaders : kContinuation, last ? kEndHeaders : kNoFlag, 1,
                         block.substr(at, 16'000));
  }
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
}

TEST_F(Http2Test, G18_HpackBombIsRefused) {
  Http2Connection connection(served_.port());
  connection.Greet();
  const int64_t resident = ResidentBytes();
  // One field of 4,000 bytes into the dynamic table, then 15,000 references to it: 60 MB.
  std::string block = EncodeFields(CallFields(kGetLoad));
  block += std::string("\x40\x01x", 3) + std::string("\x7f\xa1\x1e", 3) + std::string(4'000, 'a');
  connection.SendFrame(kHeaders, kNoFlag, 1, block);
  connection.SendFrame(kContinuation, kEndHeaders, 1, std::string(15'000, '\xbe'));
  connection.SendFrame(kData, kEndStream, 1, EncodeMessage(""));
  EXPECT_FALSE(connection.ReadUntil(kData, milliseconds(500)));
  EXPECT_LT(ResidentBytes() - resident, 8 * 1024 * 1024);
}

TEST_F(Http2Test, G20_PingFloodIsSentAway) {
  Http2Connection connection(served_.port());
  connection.Greet();
  std::optional<Frame> goaway;
  for (int i = 0; i < 50 && !goaway; ++i) {  // not all at once: closing would discard the GOAWAY
    connection.SendFrame(kPing, kNoFlag, 0, "12345678");
    goaway = connection.ReadUntil(kGoAway, milliseconds(20));
  }
  ASSERT_TRUE(goaway);
  EXPECT_EQ(goaway->payload.substr(4, 4), BigEndian32(kEnhanceYourCalm));
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
}

TEST_F(Http2Test, G21_OtherProtocolsAreClosed) {
  for (const std::string& hello :
       {std::string("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 11) + std::string(200, 'x')}) {
    Http2Connection connection(served_.port());
    connection.Send(hello);
    EXPECT_TRUE(connection.AwaitClose(seconds(5)));
  }
}

TEST(Http2, H28_SilentConnectionsAreClosed) {
  Serving serving;
  serving.config.mutable_limits()->set_header_timeout_ms(300);
  ServedDaemon served(serving);
  Http2Connection connection(served.port());
  EXPECT_TRUE(connection.AwaitClose(seconds(5)));
}

TEST_F(Http2Test, G23_OddHeadersHurtNobody) {
  const std::vector<Fields> odd = {
      {{":method", "POST"}, {":scheme", "http"}, {":path", kGetLoad}},  // no te, no content type
      {{":method", "GET"}, {":scheme", "http"}, {":path", kGetLoad}, {"te", "trailers"}},
      {{":method", "POST"}, {":scheme", "gopher"}, {":path", kGetLoad}, {"te", "trailers"}},
      {{":method", "POST"}, {":path", ""}, {"te", "gzip"}, {"content-type", "text/html"}},
      {{":path", kGetLoad}, {":path", kGetLoad}},
      {{"x", "y"}, {":method", "POST"}},
      {},
  };
  const Fields extras = {{"grpclb_client_stats", std::string(9'000, 'x')},
                         {"grpc-timeout", "99999999999999S"},
                         {"grpc-timeout", "-1m"},
                         {"grpc-encoding", "unknown"},
                         {"grpc-encoding", "gzip"},
                         {"content-type", "application/grpc+evil"},
                         {"grpc-tags-bin", "!!!"},
                         {"host", "a"},
                         {"UPPER", "case"},
                         {"", ""},
                         {"nul", std::string("a\0b", 3)}};
  std::vector<Fields> all = odd;
  for (const auto& extra : extras) {
    all.push_back(CallFields(kGetLoad));
    all.back().push_back(extra);
  }
  for (const Fields& fields : all) {
    Http2Connection connection(served_.port());
    connection.Greet();
    connection.SendFrame(kHeaders, kEndHeaders, 1, EncodeFields(fields));
    connection.SendFrame(kData, kEndStream, 1, EncodeMessage(""));
    EXPECT_TRUE(Ends(connection)) << testing::PrintToString(fields);
  }
}

TEST_F(Http2Test, G13_ADeadlinePassedOnArrivalGeneratesNothing) {
  Fields fields = CallFields(kGenerate);
  fields.emplace_back("grpc-timeout", "1n");
  Http2Connection connection(served_.port());
  connection.Greet();
  connection.SendFrame(kHeaders, kEndHeaders, 1, EncodeFields(fields));
  connection.SendFrame(kData, kEndStream, 1, EncodeMessage(LongRequest(900).SerializeAsString()));
  EXPECT_TRUE(Ends(connection));
  EXPECT_TRUE(served_.AwaitIdle());
  EXPECT_LE(served_.daemon().engine().stats().tokens_generated, 2u);
}

TEST_F(Http2Test, BrokenFramesHurtNobody) {
  const std::vector<std::string> broken = {
      EncodeFrame(kData, 0, 0, "x"),                  // data on stream 0
      EncodeFrame(kData, 0, 77, "x"),                 // on an idle stream
      EncodeFrame(kHeaders, kEndHeaders, 2, "\x82"),  // an even stream
      EncodeFrame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
      EncodeFrame(kHeaders, kEndHeaders, 1, "\x80"),       // index 0
      EncodeFrame(kContinuation, kEndHeaders, 1, "\x82"),  // of nothing
      EncodeFrame(kWindowUpdate, 0, 0, BigEndian32(0)),
      EncodeFrame(kWindowUpdate, 0, 0, BigEndian32(0x7fffffff)) +
          EncodeFrame(kWindowUpdate, 0, 0, BigEndian32(0x7fffffff)),
      EncodeFrame(kSettings, 0, 0, "12345"),
      EncodeFrame(kSettings, 0, 1, ""),
      EncodeFrame(kPing, 0, 0, "short"),
      EncodeFrame(kReset, 0, 1, ""),
      EncodeFrame(99, 0xff, 5, std::string(100, 'x')),
      std::string("\xff\xff\xff", 3) + std::string(6, '\0'),  // 16 MB announced
  };
  for (const std::string& bytes : broken) {
    Http2Connection connection(served_.port());
    connection.Greet();
    connection.Send(bytes);
    connection.AwaitClose(milliseconds(50));
  }
}

}  // namespace
}  // namespace hearth::server
