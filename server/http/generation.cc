#include "server/http/generation.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "engine/status_macros.h"
#include "server/http/fields.h"
#include "server/http/wait.h"
#include "server/session.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Peer = ClientSocket::Peer;
using MaybeOutput = std::optional<Output>;

absl::StatusOr<HttpReply> ReplyWhole(const HttpRequest& http, Session& session,
                                     ReplyWriter& writer) {
  const auto take = [&](absl::Duration wait) -> absl::StatusOr<bool> {
    HEARTH_ASSIGN_OR_RETURN(const MaybeOutput output, session.Next(wait));
    if (output) writer.Take(*output);
    return output && std::holds_alternative<Usage>(*output);
  };
  HEARTH_RETURN_IF_ERROR(PollWhileOpen(session, http.socket, take));
  HttpReply reply;
  reply.body = writer.Whole();
  return reply;
}

// One generation as events. Lives in HttpReply::stream.
class EventReply {
 public:
  EventReply(const ClientSocket& socket, std::shared_ptr<Session> session,
             std::unique_ptr<ReplyWriter> writer)
      : socket_(socket), session_(std::move(session)), writer_(std::move(writer)) {}

  // Returns once the reply may begin with status 200: with the first output that is written or
  // after `silence`; errors then come as events.
  absl::Status AwaitStart(std::chrono::milliseconds silence) {
    const auto latest = SteadyClock::now() + silence;
    while (SteadyClock::now() < latest) {
      HEARTH_ASSIGN_OR_RETURN(first_, session_->Next(kLook));
      const bool progress = first_ && std::holds_alternative<Progress>(*first_);
      if (first_ && (!progress || writer_->ShowsProgress())) return absl::OkStatus();
      const Peer peer = socket_.peer();
      if (peer == Peer::kGone) return Abandon(*session_);
      // Whether it still reads shows only when something is sent: begin.
      if (peer == Peer::kHalfClosed) return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // HttpReply::stream.
  bool Run(SseStream& stream) {
    SseEvents events;
    writer_->Open(events);
    MaybeOutput output = std::move(first_);
    while (true) {
      const bool last = output && std::holds_alternative<Usage>(*output);
      if (output) writer_->Write(*output, events);
      if (!Send(events, stream)) return Gone();
      if (last) return true;
      absl::StatusOr<MaybeOutput> next = session_->Next(kLook);
      if (!next.ok()) {
        stream.Send(writer_->Error(ToHttpError(next.status())));
        return false;
      }
      output = *std::move(next);
    }
  }

 private:
  bool Gone() {
    Abandon(*session_).IgnoreError();
    return false;
  }

  bool Send(SseEvents& events, SseStream& stream) {
    if (events.empty()) return Probe(stream);
    for (const SseEvent& event : events) {
      if (!stream.Send(event)) return false;
    }
    events.clear();
    return true;
  }

  // Where nothing is written: is the client there? A FIN alone does not tell whether it still
  // reads, but what a closed socket is sent, it answers with RST.
  bool Probe(SseStream& stream) {
    const Peer peer = socket_.peer();
    if (peer == Peer::kGone) return false;
    if (peer == Peer::kHalfClosed && !std::exchange(probed_, true)) return stream.KeepAlive();
    return stream.KeepAliveIfSilent();
  }

  const ClientSocket& socket_;
  const std::shared_ptr<Session> session_;
  const std::unique_ptr<ReplyWriter> writer_;
  MaybeOutput first_;
  bool probed_ = false;
};

absl::StatusOr<HttpReply> ReplyStream(const HttpRequest& http, std::shared_ptr<Session> session,
                                      std::unique_ptr<ReplyWriter> writer,
                                      std::chrono::milliseconds keep_alive) {
  auto events = std::make_shared<EventReply>(http.socket, std::move(session), std::move(writer));
  HEARTH_RETURN_IF_ERROR(events->AwaitStart(keep_alive));
  HttpReply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-cache");
  reply.stream = [events](SseStream& stream) { return events->Run(stream); };
  return reply;
}

}  // namespace

absl::StatusOr<HttpReply> Generate(Daemon& daemon, const HttpRequest& http, GenerationCall call,
                                   const MakeReplyWriter& make_writer) {
  HEARTH_ASSIGN_OR_RETURN(std::shared_ptr<Session> session,
                          Session::Start(daemon, std::move(call.request)));
  std::unique_ptr<ReplyWriter> writer = make_writer(daemon, *session);
  const std::chrono::milliseconds keep_alive(daemon.config().limits().keep_alive_ms());
  absl::StatusOr<HttpReply> reply =
      call.stream ? ReplyStream(http, std::move(session), std::move(writer), keep_alive)
                  : ReplyWhole(http, *session, *writer);
  if (reply.ok()) NameIgnored(call.ignored, *reply);
  return reply;
}

}  // namespace hearth::server
