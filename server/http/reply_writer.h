// How an endpoint writes a generation: the one thing in which chat, completions, responses and
// messages differ. Waiting, disconnects, keep-alive and errors are generation.h's.
//
// An endpoint is a file with a ReplyWriter of its own. It reads its fields into a GenerationRequest
// and hands both to Generate (generation.h).
#ifndef HEARTH_SERVER_HTTP_REPLY_WRITER_H_
#define HEARTH_SERVER_HTTP_REPLY_WRITER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/daemon.h"
#include "server/http/sse.h"
#include "server/output.h"
#include "server/session.h"
#include "server/status.h"

namespace hearth::server {

using SseEvents = std::vector<SseEvent>;

// One reply: either the first two, or the others, in their order. One thread at a time.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;

  // A reply that comes whole: each output, of which Usage is the last; then the body. By default an
  // output is written as in a stream, and its events are dropped.
  virtual void Take(const Output& output) {
    SseEvents untold;
    Write(output, untold);
  }
  virtual std::string Whole() = 0;

  // A stream: what comes before the first output; the events of each output; of Usage, which is the
  // last, also those that end the stream. None at all is fine.
  virtual void Open(SseEvents& events) = 0;
  virtual void Write(const Output& output, SseEvents& events) = 0;
  // Whether Progress makes events.
  virtual bool ShowsProgress() const { return false; }
  // The last event of a stream that fails. By default OpenAI's error object.
  virtual SseEvent Error(const HttpError& error) { return {"", ErrorBody(error)}; }
};

// Called once, before anything is written; the daemon outlives the writer.
using MakeReplyWriter =
    std::function<std::unique_ptr<ReplyWriter>(const Daemon& daemon, const Session& session)>;

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_REPLY_WRITER_H_
