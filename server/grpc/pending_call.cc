#include "server/grpc/pending_call.h"

#include <exception>
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
  const grpc::Status wire = ToGrpcStatus(status);
  if (!status.ok()) Abandon(status);
  SetEnded(status.code());
  FinishCall(wire);
}

void PendingCall::SetEnded(absl::StatusCode code) {
  ended_ = true;
  since_ = Clock::now();
  code_ = code;
}

// There may be no memory left.
void PendingCall::Fail() noexcept {
  if (ended_) return;
  try {
    Abandon(absl::InternalError("internal error"));
  } catch (const std::exception&) {  // who computes for it finds out from its end
  }
  SetEnded(absl::StatusCode::kInternal);
  FinishCall(grpc::Status(grpc::StatusCode::INTERNAL, "internal error"));
}

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
  daemon_.metrics().CountRequest("grpc", method_, absl::StatusCodeToString(code_));
  const std::shared_ptr<WriteLoop> loop = loop_;
  loop->Remove(this);
}

}  // namespace hearth::server
