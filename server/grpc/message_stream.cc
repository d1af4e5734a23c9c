#include "server/grpc/message_stream.h"

#include "server/grpc/codec.h"

namespace hearth::server {

void MessageStream::OnSignal(WriteLoop::Signal signal) {
  if (signal == WriteLoop::Signal::kWritten) EndWrite();
  if (signal == WriteLoop::Signal::kBroken) {
    EndWrite();
    return End(absl::CancelledError("the client is gone"));
  }
  if (signal == WriteLoop::Signal::kClosing) OnClosing();
  if (!ended() && !writing()) Advance();
}

void MessageStream::Write(const google::protobuf::Message& message) {
  bytes_ = Serialize(message);
  BeginWrite();
  StartWrite(&bytes_);
}

void MessageStream::OnWriteDone(bool ok) {
  loop_->Post(this, ok ? WriteLoop::Signal::kWritten : WriteLoop::Signal::kBroken);
}

void MessageStream::OnCancel() { Abandon(absl::CancelledError("the client is gone")); }

}  // namespace hearth::server
