#include "server/grpc/pending_call.h"

#include <utility>

#include "server/grpc/rpc_status.h"

namespace hearth::server {

PendingCall::PendingCall(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                         grpc::CallbackServerContext* context, const char* method)
    : daemon_(daemon), loop_(std::move(loop)), method_(method), context_(context) {}

void PendingCall::BeginWrite() {
  writing_ = true;
  since_ = Clock::now();
}

void PendingCall::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  since_ = Clock::now();
  status_ = status;
  if (!status.ok()) Abandon(status);
  FinishCall(ToGrpcStatus(status));
}

void PendingCall::Fail() { End(absl::InternalError("internal error")); }

void PendingCall::CutIfWritingSince(Clock::time_point oldest) {
  if ((!writing_ && !ended_) || since_ > oldest) return;
  since_ = Clock::time_point::max();  // once
  Abandon(absl::DeadlineExceededError("the client reads too slowly"));
  std::lock_guard<std::mutex> lock(mutex_);
  if (context_ != nullptr) context_->TryCancel();  // fails the write, or drops the status
}

void PendingCall::Release() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    context_ = nullptr;
  }
  daemon_.metrics().CountRequest("grpc", method_, absl::StatusCodeToString(status_.code()));
  const std::shared_ptr<WriteLoop> loop = loop_;
  loop->Remove(this);
}

}  // namespace hearth::server
