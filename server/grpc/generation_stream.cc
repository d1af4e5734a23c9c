#include "server/grpc/generation_stream.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "server/grpc/codec.h"
#include "server/grpc/rpc_status.h"

namespace hearth::server {
namespace {

void FillEvent(const Progress& progress, v1::GenerateEvent& event) {
  v1::Progress& wire = *event.mutable_progress();
  wire.set_prompt_tokens(progress.prompt_tokens);
  wire.set_computed_tokens(progress.computed_tokens);
  wire.set_cached_tokens(progress.cached_tokens);
}

void FillEvent(const Delta& delta, v1::GenerateEvent& event) {
  v1::Delta& wire = *event.mutable_delta();
  wire.set_index(delta.index);
  wire.set_text(delta.text);
  wire.mutable_tokens()->Add(delta.tokens.begin(), delta.tokens.end());
}

void FillEvent(const ChoiceEnd& end, v1::GenerateEvent& event) {
  v1::Finish& wire = *event.mutable_finish();
  wire.set_index(end.index);
  wire.set_reason(end.reason == FinishReason::kLength ? v1::FINISH_REASON_LENGTH
                                                      : v1::FINISH_REASON_STOP);
}

void FillEvent(const Usage& usage, v1::GenerateEvent& event) {
  v1::Usage& wire = *event.mutable_usage();
  wire.set_prompt_tokens(usage.prompt_tokens);
  wire.set_completion_tokens(usage.completion_tokens);
  wire.set_cached_tokens(usage.cached_tokens);
}

}  // namespace

GenerationStream::GenerationStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                   grpc::CallbackServerContext* context,
                                   std::shared_ptr<Session> session, const char* method)
    : daemon_(daemon),
      loop_(std::move(loop)),
      session_(std::move(session)),
      method_(method),
      context_(context) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationStream::Start(
    Daemon& daemon, std::shared_ptr<WriteLoop> loop, grpc::CallbackServerContext* context,
    std::shared_ptr<Session> session, const char* method) {
  std::shared_ptr<GenerationStream> stream(
      new GenerationStream(daemon, std::move(loop), context, std::move(session), method));
  stream->WriteAccepted();  // its OnWriteDone starts the rest
  stream->loop_->Add(stream);
  return stream.get();
}

void GenerationStream::WriteAccepted() {
  v1::GenerateEvent event;
  v1::Accepted& accepted = *event.mutable_accepted();
  accepted.set_id(session_->id());
  accepted.set_model(daemon_.model_id());
  accepted.set_prompt_tokens(session_->prompt_tokens());
  accepted.set_seed(session_->seed());
  Write(event);
}

void GenerationStream::OnSignal(WriteLoop::Signal signal) {
  if (signal == WriteLoop::Signal::kWritten) writing_ = false;
  if (signal == WriteLoop::Signal::kBroken) {
    writing_ = false;
    return End(absl::CancelledError("the client is gone"));
  }
  Advance();
}

void GenerationStream::Advance() {
  if (ended_ || writing_) return;
  if (complete_) return End(absl::OkStatus());
  absl::StatusOr<std::optional<Output>> next = session_->Next(absl::ZeroDuration());
  if (!next.ok()) return End(next.status());
  if (!next->has_value()) {
    session_->NotifyWhenReady([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->loop_->Post(self.get(), WriteLoop::Signal::kReady);
    });
    return;
  }
  v1::GenerateEvent event;
  complete_ = std::holds_alternative<Usage>(**next);
  std::visit([&event](const auto& output) { FillEvent(output, event); }, **next);
  Write(event);
}

void GenerationStream::Write(const v1::GenerateEvent& event) {
  bytes_ = Serialize(event);
  writing_ = true;
  since_ = Clock::now();
  StartWrite(&bytes_);
}

void GenerationStream::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  since_ = Clock::now();
  status_ = status;
  if (!status.ok()) session_->Cancel(status);
  Finish(ToGrpcStatus(status));
}

void GenerationStream::CutIfWritingSince(Clock::time_point oldest) {
  if ((!writing_ && !ended_) || since_ > oldest) return;
  since_ = Clock::time_point::max();  // once
  session_->Cancel(absl::DeadlineExceededError("the client reads too slowly"));
  std::lock_guard<std::mutex> lock(mutex_);
  if (context_ != nullptr) context_->TryCancel();  // fails the write, or drops the status
}

void GenerationStream::OnWriteDone(bool ok) {
  loop_->Post(this, ok ? WriteLoop::Signal::kWritten : WriteLoop::Signal::kBroken);
}

void GenerationStream::OnCancel() { session_->Cancel(absl::CancelledError("the client is gone")); }

void GenerationStream::OnDone() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    context_ = nullptr;
  }
  daemon_.metrics().CountRequest("grpc", method_, absl::StatusCodeToString(status_.code()));
  const std::shared_ptr<WriteLoop> loop = loop_;
  loop->Remove(this);  // may be the end of this
}

}  // namespace hearth::server
