// Row G15: readers that take nothing cost their own stream, and no thread.
#include <grpcpp/client_context.h>

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/grpc/http2_connection.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kGenerate[] = "/hearth.v1.Inference/Generate";
constexpr milliseconds kWriteTimeout{400};

Serving ShortWriteTimeout() {
  Serving serving;
  serving.config.mutable_limits()->set_write_timeout_ms(kWriteTimeout.count());
  return serving;
}

class G15_StalledReader : public testing::Test {
 protected:
  ServedDaemon served_{ShortWriteTimeout()};
  std::unique_ptr<v1::Inference::Stub> sibling_ = served_.Inference();
};

TEST_F(G15_StalledReader, AZeroWindowIsCutAtTheWriteDeadline) {
  Http2Connection connection(served_.port());
  connection.Greet({{kInitialWindowSize, 0}});
  const auto begin = std::chrono::steady_clock::now();
  connection.SendCall(1, kGenerate, LongRequest(900).SerializeAsString());
  const auto reset = connection.ReadUntil(kReset, seconds(30));
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->stream, 1u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kWriteTimeout);
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST_F(G15_StalledReader, ManyHoldNoThreadsAndSiblingsGoOn) {
  grpc::ClientContext warm_up;
  ASSERT_TRUE(ReadAll(sibling_->Generate(&warm_up, LongRequest(4))).status.ok());
  const int threads = ThreadCount();
  std::vector<std::unique_ptr<Http2Connection>> stalled;
  for (int i = 0; i < 8; ++i) {
    Http2Connection& connection =
        *stalled.emplace_back(std::make_unique<Http2Connection>(served_.port()));
    connection.Greet({{kInitialWindowSize, 0}});
    for (uint32_t call = 0; call < 4; ++call) {
      connection.SendCall(2 * call + 1, kGenerate, LongRequest(200).SerializeAsString());
    }
  }
  grpc::ClientContext context;
  EXPECT_TRUE(ReadAll(sibling_->Generate(&context, LongRequest(40))).status.ok());
  EXPECT_LE(ThreadCount(), threads + 4);  // gRPC's pool may still grow to the CPUs' number
  for (auto& connection : stalled) EXPECT_TRUE(connection->ReadUntil(kReset, seconds(30)));
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST_F(G15_StalledReader, AFullSocketFreesTheEngineAtTheWriteDeadline) {
  Http2Connection connection(served_.port(), /*receive_buffer=*/4096);
  connection.Greet({{kInitialWindowSize, 0x7fffffff}});
  connection.SendFrame(kWindowUpdate, kNoFlag, 0, BigEndian32(0x7fff0000));
  for (uint32_t call = 0; call < 8; ++call) {  // several hundred kilobytes of events, unread
    connection.SendCall(2 * call + 1, kGenerate, LongRequest(900, 4).SerializeAsString());
  }
  EXPECT_TRUE(Eventually([&] { return served_.daemon().engine().stats().running > 0; }));
  EXPECT_TRUE(Eventually([&] {
    const EngineStats stats = served_.daemon().engine().stats();
    return stats.running == 0 && stats.queued == 0 && stats.blocks_used == 0;
  }));
  grpc::ClientContext context;
  EXPECT_TRUE(ReadAll(sibling_->Generate(&context, LongRequest(8))).status.ok());
}

TEST_F(G15_StalledReader, ASlowButSteadyReaderIsServed) {
  grpc::ClientContext context;
  const auto reader = sibling_->Generate(&context, LongRequest(12));
  v1::GenerateEvent event;
  while (reader->Read(&event)) std::this_thread::sleep_for(milliseconds(60));
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(event.has_usage());
}

}  // namespace
}  // namespace hearth::server
