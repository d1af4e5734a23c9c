#include "server/grpc/prompt_call.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/grpc/codec.h"

namespace hearth::server {

PromptCall::PromptCall(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                       grpc::CallbackServerContext* context, std::shared_ptr<PromptRun> run,
                       rpc::PromptAnswer answer, grpc::ByteBuffer& reply, const char* method)
    : PendingCall(daemon, std::move(loop), context, method),
      run_(std::move(run)),
      answer_(std::move(answer)),
      reply_(reply) {}

grpc::ServerUnaryReactor* PromptCall::Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                            grpc::CallbackServerContext* context,
                                            std::shared_ptr<PromptRun> run,
                                            rpc::PromptAnswer answer, grpc::ByteBuffer& reply,
                                            const char* method) {
  std::shared_ptr<PromptCall> call(new PromptCall(daemon, std::move(loop), context, std::move(run),
                                                  std::move(answer), reply, method));
  call->loop_->Add(call);
  call->run_->NotifyWhenDone([weak = call->weak_from_this(), loop = call->loop_] {
    if (auto self = weak.lock()) loop->Post(self.get(), WriteLoop::Signal::kReady);
  });
  return call.get();
}

void PromptCall::OnSignal(WriteLoop::Signal signal) {
  if (ended() || signal != WriteLoop::Signal::kReady) return;
  absl::StatusOr<std::optional<std::vector<PromptResult>>> results =
      run_->Wait(absl::ZeroDuration());
  if (results.ok()) reply_ = Serialize(*answer_(*std::move(*results)));
  End(results.status());
}

}  // namespace hearth::server
