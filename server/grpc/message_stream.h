// A call that streams messages to its client, one at a time with gRPC.
#ifndef HEARTH_SERVER_GRPC_MESSAGE_STREAM_H_
#define HEARTH_SERVER_GRPC_MESSAGE_STREAM_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/grpc/pending_call.h"

namespace hearth::server {

using WriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

class MessageStream : public WriteReactor, public PendingCall {
 public:
  // For the write loop.
  void OnSignal(WriteLoop::Signal signal) override;

  // For gRPC.
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { Release(); }

 protected:
  using PendingCall::PendingCall;

  // On the loop's thread, when gRPC has no message and the call has not ended: writes, ends, or
  // sees to it that kReady is posted. Once before, for the first message, before the loop has it.
  virtual void Advance() = 0;
  // The server is about to end.
  virtual void OnClosing() {}

  void Write(const google::protobuf::Message& message);

 private:
  void FinishCall(const grpc::Status& status) override { Finish(status); }

  grpc::ByteBuffer bytes_;  // gRPC reads it while writing()
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_MESSAGE_STREAM_H_
