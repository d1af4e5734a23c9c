// One Chat or Generate call: a Session whose outputs become GenerateEvents.
#ifndef HEARTH_SERVER_GRPC_GENERATION_STREAM_H_
#define HEARTH_SERVER_GRPC_GENERATION_STREAM_H_

#include <memory>

#include "server/grpc/message_stream.h"
#include "server/session.h"

namespace hearth::server {

// What is not with gRPC waits in the session's bounded queue.
class GenerationStream final : public MessageStream {
 public:
  // The reactor to return from the method, which outlives it.
  static WriteReactor* Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                             grpc::CallbackServerContext* context, std::shared_ptr<Session> session,
                             const char* method);

 private:
  GenerationStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                   grpc::CallbackServerContext* context, std::shared_ptr<Session> session,
                   const char* method);
  void Advance() override;
  void Abandon(absl::Status why) override { session_->Cancel(std::move(why)); }
  void WriteAccepted();

  const std::shared_ptr<Session> session_;
  bool complete_ = false;  // the last event was written
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_GENERATION_STREAM_H_
