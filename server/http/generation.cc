#include "server/http/generation.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/status_macros.h"
#include "server/session.h"
#include "server/status.h"

namespace hearth::server {
namespace {

// How often a waiting reply looks whether its client is still there.
constexpr absl::Duration kLook = absl::Milliseconds(100);

using Peer = ClientSocket::Peer;
using MaybeOutput = std::optional<Output>;

OrderedJson UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

OrderedJson FinishJson(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

OrderedJson ChoiceJson(int32_t index, OrderedJson members, OrderedJson finish_reason) {
  OrderedJson choice = {{"index", index}};
  choice.update(members);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

// Members that every object of one generation begins with.
OrderedJson Preamble(const Daemon& daemon, const Session& session, const ReplyShape& shape,
                     const char* object) {
  return {{"id", absl::StrCat(shape.id_prefix, session.id())},
          {"object", object},
          {"created", absl::ToUnixSeconds(session.created())},
          {"model", daemon.model_id()},
          {"system_fingerprint", absl::StrFormat("fp_%016x", daemon.engine().info().fingerprint)}};
}

absl::Status Abandon(Session& session) {
  const absl::Status why = absl::CancelledError("the client has gone");
  session.Cancel(why);
  return why;
}

struct WholeChoice {
  std::string text;
  FinishReason reason = FinishReason::kStop;
};

// Runs a session to its end for a client that waits for the whole reply.
absl::StatusOr<Usage> Collect(Session& session, const ClientSocket& socket,
                              std::vector<WholeChoice>& choices) {
  SteadyClock::time_point next_look = SteadyClock::now();
  while (true) {
    if (SteadyClock::now() >= next_look) {
      if (socket.peer() != Peer::kOpen) return Abandon(session);
      next_look = SteadyClock::now() + absl::ToChronoMilliseconds(kLook);
    }
    HEARTH_ASSIGN_OR_RETURN(MaybeOutput output, session.Next(kLook));
    if (!output) continue;
    if (const auto* delta = std::get_if<Delta>(&*output)) {
      choices[delta->index].text += delta->text;
    } else if (const auto* end = std::get_if<ChoiceEnd>(&*output)) {
      choices[end->index].reason = end->reason;
    } else if (const auto* usage = std::get_if<Usage>(&*output)) {
      return *usage;
    }
  }
}

absl::StatusOr<HttpReply> ReplyWhole(Daemon& daemon, const HttpRequest& http, Session& session,
                                     const ReplyShape& shape) {
  std::vector<WholeChoice> choices(session.choices());
  HEARTH_ASSIGN_OR_RETURN(const Usage usage, Collect(session, http.socket, choices));
  OrderedJson body = Preamble(daemon, session, shape, shape.object);
  OrderedJson& list = body["choices"] = OrderedJson::array();
  for (int32_t i = 0; i < session.choices(); ++i) {
    list.push_back(
        ChoiceJson(i, shape.whole(std::move(choices[i].text)), FinishJson(choices[i].reason)));
  }
  body["usage"] = UsageJson(usage);
  HttpReply reply;
  reply.body = DumpJson(body);
  return reply;
}

// One generation as events. Lives in HttpReply::stream.
class EventReply {
 public:
  EventReply(Daemon& daemon, const ClientSocket& socket, std::shared_ptr<Session> session,
             const ReplyShape& shape, bool include_usage)
      : socket_(socket),
        session_(std::move(session)),
        shape_(shape),
        include_usage_(include_usage),
        preamble_(Preamble(daemon, *session_, shape, shape.chunk_object)) {}

  // Returns once the reply may begin with status 200: with the first output or after `silence`;
  // errors then come as events.
  absl::Status AwaitStart(std::chrono::milliseconds silence) {
    const auto latest = SteadyClock::now() + silence;
    while (SteadyClock::now() < latest) {
      HEARTH_ASSIGN_OR_RETURN(first_, session_->Next(kLook));
      if (first_) return absl::OkStatus();
      const Peer peer = socket_.peer();
      if (peer == Peer::kGone) return Abandon(*session_);
      // Whether it still reads shows only when something is sent: begin.
      if (peer == Peer::kHalfClosed) return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // HttpReply::stream.
  bool Run(SseStream& events) {
    if (!Open(events)) return Gone();
    MaybeOutput output = std::move(first_);
    while (true) {
      if (output) {
        if (!Write(events, *output)) return Gone();
        if (std::holds_alternative<Usage>(*output)) return events.Send("[DONE]");
      } else if (!Probe(events)) {
        return Gone();
      }
      absl::StatusOr<MaybeOutput> next = session_->Next(kLook);
      if (!next.ok()) {
        events.Send(ErrorBody(ToHttpError(next.status())));
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

  bool Open(SseStream& events) {
    if (shape_.opening == nullptr) return true;
    for (int32_t i = 0; i < session_->choices(); ++i) {
      if (!SendChoice(events, i, shape_.opening(), nullptr)) return false;
    }
    return true;
  }

  bool Write(SseStream& events, const Output& output) {
    if (const auto* delta = std::get_if<Delta>(&output)) {
      if (delta->text.empty()) return Probe(events);
      return SendChoice(events, delta->index, shape_.delta(delta->text), nullptr);
    }
    if (const auto* end = std::get_if<ChoiceEnd>(&output)) {
      return SendChoice(events, end->index, shape_.closing(), FinishJson(end->reason));
    }
    if (const auto* usage = std::get_if<Usage>(&output)) {
      return !include_usage_ || SendChunk(events, OrderedJson::array(), UsageJson(*usage));
    }
    return Probe(events);  // Progress
  }

  // Where nothing is written: is the client there? A FIN alone does not tell whether it still
  // reads, but what a closed socket is sent, it answers with RST.
  bool Probe(SseStream& events) {
    const Peer peer = socket_.peer();
    if (peer == Peer::kGone) return false;
    if (peer == Peer::kHalfClosed && !std::exchange(probed_, true)) return events.KeepAlive();
    return events.KeepAliveIfSilent();
  }

  bool SendChoice(SseStream& events, int32_t index, OrderedJson members, OrderedJson finish) {
    OrderedJson choices = OrderedJson::array();
    choices.push_back(ChoiceJson(index, std::move(members), std::move(finish)));
    return SendChunk(events, std::move(choices), nullptr);
  }

  bool SendChunk(SseStream& events, OrderedJson choices, OrderedJson usage) {
    OrderedJson chunk = preamble_;
    chunk["choices"] = std::move(choices);
    if (include_usage_) chunk["usage"] = std::move(usage);
    return events.Send(DumpJson(chunk));
  }

  const ClientSocket& socket_;
  const std::shared_ptr<Session> session_;
  const ReplyShape& shape_;
  const bool include_usage_;
  const OrderedJson preamble_;
  MaybeOutput first_;
  bool probed_ = false;
};

absl::StatusOr<HttpReply> ReplyStream(Daemon& daemon, const HttpRequest& http,
                                      std::shared_ptr<Session> session, const ReplyShape& shape,
                                      bool include_usage) {
  auto events =
      std::make_shared<EventReply>(daemon, http.socket, std::move(session), shape, include_usage);
  const std::chrono::milliseconds silence(daemon.config().limits().keep_alive_ms());
  HEARTH_RETURN_IF_ERROR(events->AwaitStart(silence));
  HttpReply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-cache");
  reply.stream = [events](SseStream& stream) { return events->Run(stream); };
  return reply;
}

}  // namespace

absl::StatusOr<HttpReply> Generate(Daemon& daemon, const HttpRequest& http, GenerationCall call,
                                   const ReplyShape& shape) {
  const std::vector<std::string> ignored = std::move(call.ignored);
  HEARTH_ASSIGN_OR_RETURN(std::shared_ptr<Session> session,
                          Session::Start(daemon, std::move(call.request)));
  absl::StatusOr<HttpReply> reply =
      call.stream ? ReplyStream(daemon, http, std::move(session), shape, call.include_usage)
                  : ReplyWhole(daemon, http, *session, shape);
  if (reply.ok() && !ignored.empty()) {
    reply->headers.emplace_back("x-hearth-ignored", IgnoredHeader(ignored));
  }
  return reply;
}

}  // namespace hearth::server
