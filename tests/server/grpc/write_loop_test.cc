// What is thrown on the write loop costs the call it comes to, and no other.
#include "server/grpc/write_loop.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include <future>
#include <new>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/grpc/call_gate.h"
#include "tests/server/captured_log.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using Service = v1::Inference::WithRawCallbackMethod_Embed<v1::Inference::Service>;

// Embed as it is, but for its answer, which there is no memory for.
class Unanswerable final : public Service {
 public:
  explicit Unanswerable(CallGate& gate) : gate_(gate) {}

  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* reply) override {
    return gate_.Compute(context, "Inference/Embed", Job, *request, *reply);
  }

 private:
  static absl::StatusOr<rpc::PromptJob> Job(const Daemon& daemon, const rpc::Caller& caller,
                                            const v1::EmbedRequest& wire) {
    HEARTH_ASSIGN_OR_RETURN(rpc::PromptJob job, rpc::Embed(daemon, caller, wire));
    job.answer =
        [](const std::vector<PromptResult>&) -> std::unique_ptr<google::protobuf::Message> {
      throw std::bad_alloc();
    };
    return job;
  }

  CallGate& gate_;
};

TEST(WriteLoop, F11_AnAnswerThatThrowsIsInternal) {
  CapturedLog log;
  ServedDaemon served;
  auto loop = std::make_shared<WriteLoop>(std::chrono::seconds(5));
  CallGate gate(served.daemon(), loop);
  Unanswerable service(gate);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::Inference::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  for (int i = 0; i < 2; ++i) {  // the loop outlives the first
    grpc::ClientContext context;
    v1::EmbedRequest request;
    request.add_inputs()->set_text("a");
    v1::EmbedResponse response;
    const grpc::Status status = stub->Embed(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(status.error_message(), "internal error");
  }
  EXPECT_THAT(log.text(), testing::HasSubstr("bad_alloc"));
  EXPECT_TRUE(loop->AwaitIdle(std::chrono::seconds(5)));
  EXPECT_TRUE(served.AwaitIdle());
  server->Shutdown();
}

class Recorder final : public WriteLoop::Call {
 public:
  explicit Recorder(bool throws) : throws_(throws) {}

  void OnSignal(WriteLoop::Signal) override {
    if (throws_) throw std::bad_alloc();
    signalled.set_value();
  }
  void CutIfWritingSince(std::chrono::steady_clock::time_point) override {
    if (throws_ && !cut_) {
      cut_ = true;
      throw std::bad_alloc();
    }
  }
  void Fail() noexcept override { ++failures; }

  std::promise<void> signalled;
  std::atomic<int> failures{0};

 private:
  const bool throws_;
  bool cut_ = false;
};

TEST(WriteLoop, F11_OthersAreServedAfterOneThatThrows) {
  CapturedLog log;
  WriteLoop loop(std::chrono::milliseconds(40));
  const auto thrower = std::make_shared<Recorder>(true);
  const auto sibling = std::make_shared<Recorder>(false);
  loop.Add(thrower);
  loop.Add(sibling);
  loop.Post(thrower.get(), WriteLoop::Signal::kReady);
  loop.Post(sibling.get(), WriteLoop::Signal::kReady);
  sibling->signalled.get_future().wait();
  EXPECT_TRUE(Eventually([&] { return thrower->failures == 2; }));  // the signal and the cut
  EXPECT_EQ(sibling->failures, 0);
}

}  // namespace
}  // namespace hearth::server
