// A call that is answered later, on the write loop: what it needs whatever it answers.
#ifndef HEARTH_SERVER_GRPC_PENDING_CALL_H_
#define HEARTH_SERVER_GRPC_PENDING_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <memory>
#include <mutex>

#include "absl/status/status.h"
#include "server/daemon.h"
#include "server/grpc/write_loop.h"

namespace hearth::server {

// Beside the reactor that gRPC knows. Reactions of gRPC only post to the write loop, on whose
// thread everything is decided; which keeps the call until gRPC is done with it.
class PendingCall : public WriteLoop::Call, public std::enable_shared_from_this<PendingCall> {
 public:
  using Clock = std::chrono::steady_clock;

  // For the write loop.
  void CutIfWritingSince(Clock::time_point oldest) final;
  void Fail() noexcept final;

 protected:
  // `method` outlives the call.
  PendingCall(Daemon& daemon, std::shared_ptr<WriteLoop> loop, grpc::CallbackServerContext* context,
              const char* method);

  // The call is over, and the client does not see the end. Any thread.
  virtual void Abandon(absl::Status why) = 0;
  // The reactor's own Finish.
  virtual void FinishCall(const grpc::Status& status) = 0;

  // On the loop's thread. gRPC has a message, or has taken it.
  void BeginWrite();
  void EndWrite() { writing_ = false; }
  bool writing() const { return writing_; }
  void End(const absl::Status& status);  // when it throws, the call has not ended
  bool ended() const { return ended_; }

  // The reactor's OnDone. May be the end of the call.
  void Release();

  Daemon& daemon_;
  const std::shared_ptr<WriteLoop> loop_;

 private:
  void SetEnded(absl::StatusCode code);

  const char* const method_;

  // The loop's thread.
  bool writing_ = false;
  bool ended_ = false;
  Clock::time_point since_;  // of the write, or of the end: when gRPC got its last work
  absl::StatusCode code_ = absl::StatusCode::kOk;

  std::mutex mutex_;
  grpc::CallbackServerContext* context_;  // guarded by mutex_; null once gRPC is done
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_PENDING_CALL_H_
