#include "server/grpc/load_stream.h"

#include <grpc/support/time.h>

#include <utility>

#include "hearth/v1/inference.pb.h"
#include "server/grpc/methods.h"

namespace hearth::server {

LoadStream::LoadStream(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                       grpc::CallbackServerContext* context, std::chrono::milliseconds interval,
                       const char* method)
    : MessageStream(daemon, std::move(loop), context, method), interval_(interval) {}

WriteReactor* LoadStream::Start(Daemon& daemon, std::shared_ptr<WriteLoop> loop,
                                grpc::CallbackServerContext* context,
                                std::chrono::milliseconds interval, const char* method) {
  std::shared_ptr<LoadStream> stream(
      new LoadStream(daemon, std::move(loop), context, interval, method));
  stream->WriteLoad();  // its OnWriteDone starts the rest
  stream->loop_->Add(stream);
  return stream.get();
}

void LoadStream::WriteLoad() {
  next_ = Clock::now() + interval_;
  v1::GetLoadResponse load;
  rpc::FillLoad(daemon_, load);
  Write(load);
}

void LoadStream::Advance() {
  if (gone_) return End(absl::CancelledError("the client is gone"));
  const Clock::time_point now = Clock::now();
  if (now >= next_) return WriteLoad();
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next_ - now);
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait.count(), GPR_TIMESPAN)),
      [weak = weak_from_this(), loop = loop_](bool due) {
        const auto self = weak.lock();
        if (due && self) loop->Post(self.get(), WriteLoop::Signal::kReady);
      });
}

void LoadStream::Abandon(absl::Status) {
  gone_ = true;
  loop_->Post(this, WriteLoop::Signal::kReady);
}

void LoadStream::OnClosing() { End(absl::UnavailableError("the daemon is shutting down")); }

}  // namespace hearth::server
