#include "server/grpc/generation_stream.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "hearth/v1/inference.pb.h"
#include "server/grpc/events.h"

namespace hearth::server {

GenerationStream::GenerationStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                   grpc::CallbackServerContext* context,
                                   std::shared_ptr<Session> session, const char* method)
    : MessageStream(daemon, std::move(loop), context, method), session_(std::move(session)) {}

WriteReactor* GenerationStream::Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                      grpc::CallbackServerContext* context,
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
  accepted.set_system_fingerprint(daemon_.system_fingerprint());
  Write(event);
}

void GenerationStream::Advance() {
  if (complete_) return End(absl::OkStatus());
  absl::StatusOr<std::optional<Output>> next = session_->Next(absl::ZeroDuration());
  if (!next.ok()) return End(next.status());
  if (!next->has_value()) {
    session_->NotifyWhenReady([weak = weak_from_this(), loop = loop_] {
      if (auto self = weak.lock()) loop->Post(self.get(), WriteLoop::Signal::kReady);
    });
    return;
  }
  complete_ = std::holds_alternative<Usage>(**next);
  Write(ToEvent(**next, daemon_.engine().tokenizer(), session_->logprobs()));
}

}  // namespace hearth::server
