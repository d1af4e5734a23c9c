// One WatchLoad call: the load at once and then at each interval, until the client or the server
// ends. While the daemon drains it goes on.
#ifndef HEARTH_SERVER_GRPC_LOAD_STREAM_H_
#define HEARTH_SERVER_GRPC_LOAD_STREAM_H_

#include <grpcpp/alarm.h>

#include <atomic>
#include <chrono>
#include <memory>

#include "server/grpc/message_stream.h"

namespace hearth::server {

class LoadStream final : public MessageStream {
 public:
  // The reactor to return from the method, which outlives it.
  static WriteReactor* Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                             grpc::CallbackServerContext* context,
                             std::chrono::milliseconds interval, const char* method);

 private:
  LoadStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop, grpc::CallbackServerContext* context,
             std::chrono::milliseconds interval, const char* method);
  void Advance() override;
  void OnClosing() override;
  void Abandon(absl::Status why) override;
  void WriteLoad();

  const std::chrono::milliseconds interval_;
  std::atomic<bool> gone_{false};       // the client
  Clock::time_point next_;              // when the next load is due
  std::unique_ptr<grpc::Alarm> alarm_;  // for it
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_LOAD_STREAM_H_
