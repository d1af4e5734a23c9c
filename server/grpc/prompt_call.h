// One call that is answered when a PromptRun is done: Embed, Score, PinPrefix.
#ifndef HEARTH_SERVER_GRPC_PROMPT_CALL_H_
#define HEARTH_SERVER_GRPC_PROMPT_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "server/grpc/methods.h"
#include "server/grpc/pending_call.h"
#include "server/prompt_run.h"

namespace hearth::server {

class PromptCall final : public grpc::ServerUnaryReactor, public PendingCall {
 public:
  // The reactor to return from the method, which outlives it, as `reply` does.
  static grpc::ServerUnaryReactor* Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                         grpc::CallbackServerContext* context,
                                         std::shared_ptr<PromptRun> run, rpc::PromptAnswer answer,
                                         grpc::ByteBuffer& reply, const char* method);

  // For the write loop.
  void OnSignal(WriteLoop::Signal signal) override;

  // For gRPC.
  void OnCancel() override { Abandon(absl::CancelledError("the client is gone")); }
  void OnDone() override { Release(); }

 private:
  PromptCall(Daemon& daemon, std::shared_ptr<WriteLoop> loop, grpc::CallbackServerContext* context,
             std::shared_ptr<PromptRun> run, rpc::PromptAnswer answer, grpc::ByteBuffer& reply,
             const char* method);
  void Abandon(absl::Status why) override { run_->Cancel(std::move(why)); }
  void FinishCall(const grpc::Status& status) override { Finish(status); }

  const std::shared_ptr<PromptRun> run_;
  const rpc::PromptAnswer answer_;
  grpc::ByteBuffer& reply_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_PROMPT_CALL_H_
