// One Chat or Generate call: a Session whose outputs become GenerateEvents.
#ifndef HEARTH_SERVER_GRPC_GENERATION_STREAM_H_
#define HEARTH_SERVER_GRPC_GENERATION_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "hearth/v1/inference.pb.h"
#include "server/daemon.h"
#include "server/grpc/write_loop.h"
#include "server/session.h"

namespace hearth::server {

// At most one message is with gRPC; all else waits in the session's bounded queue. Reactions of
// gRPC only post to the write loop, on whose thread everything is decided.
class GenerationStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                               public std::enable_shared_from_this<GenerationStream> {
 public:
  using Clock = std::chrono::steady_clock;

  // The reactor to return from the method; the loop keeps it until gRPC is done with it. `method`
  // outlives it.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(Daemon& daemon,
                                                           std::shared_ptr<WriteLoop> loop,
                                                           grpc::CallbackServerContext* context,
                                                           std::shared_ptr<Session> session,
                                                           const char* method);

  // For the write loop.
  void OnSignal(WriteLoop::Signal signal);
  // Ends the call when gRPC has not taken a message it got before `oldest`.
  void CutIfWritingSince(Clock::time_point oldest);

  // For gRPC.
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GenerationStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                   grpc::CallbackServerContext* context, std::shared_ptr<Session> session,
                   const char* method);
  void WriteAccepted();
  void Advance();
  void Write(const v1::GenerateEvent& event);
  void End(const absl::Status& status);

  Daemon& daemon_;
  const std::shared_ptr<WriteLoop> loop_;
  const std::shared_ptr<Session> session_;
  const char* const method_;

  // The loop's thread.
  grpc::ByteBuffer bytes_;  // gRPC reads it while writing_
  bool writing_ = false;
  bool complete_ = false;  // bytes_ is the last event
  bool ended_ = false;
  Clock::time_point since_;  // of the write, or of the end: when gRPC got its last work
  absl::Status status_;

  std::mutex mutex_;
  grpc::CallbackServerContext* context_;  // guarded by mutex_; null once gRPC is done
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_GENERATION_STREAM_H_
