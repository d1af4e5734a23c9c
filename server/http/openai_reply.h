// What replies of /v1/chat/completions and /v1/completions have alike.
#ifndef HEARTH_SERVER_HTTP_OPENAI_REPLY_H_
#define HEARTH_SERVER_HTTP_OPENAI_REPLY_H_

#include <optional>
#include <string>
#include <vector>

#include "server/http/json.h"
#include "server/http/reply_writer.h"

namespace hearth::server {

struct StreamOptions {
  bool include_usage = false;    // a chunk with usage comes last
  bool return_progress = false;  // chunks with prompt_progress, as llama.cpp's server has them
};

// Objects with the same members around a list of choices, which the endpoints write themselves.
class OpenAiReply : public ReplyWriter {
 public:
  void Take(const Output& output) final;
  std::string Whole() final;
  void Write(const Output& output, SseEvents& events) final;
  bool ShowsProgress() const final { return options_.return_progress; }

 protected:
  struct Names {
    const char* id_prefix;
    const char* object;
    const char* chunk_object;
  };
  OpenAiReply(const Daemon& daemon, const Session& session, const Names& names,
              StreamOptions options);

  // One member of "choices", of a whole reply.
  virtual std::string WriteChoice(int32_t index, WholeChoice choice) = 0;
  // Chunks of a stream.
  virtual void WriteDelta(const Delta& delta, SseEvents& events) = 0;
  virtual void WriteCall(const ToolCallDelta& call, SseEvents& events) = 0;
  virtual void WriteEnd(const ChoiceEnd& end, SseEvents& events) = 0;

  // A chunk with one choice.
  void AddChunk(const std::string& choice, SseEvents& events);

 private:
  // What every object of the reply begins with, without the closing brace.
  std::string Preamble(const char* object) const;
  void AddChunk(const std::string& choices, const Json& more, SseEvents& events);
  void WriteProgress(const Progress& progress, SseEvents& events);

  const Names names_;
  const StreamOptions options_;
  const std::string id_;
  const std::string model_;
  const std::string fingerprint_;
  const absl::Time created_;
  const std::string chunk_preamble_;

  // Of a reply that comes whole.
  std::vector<WholeChoice> choices_;
  Usage usage_;
};

// A member of "choices": index, `members`, logprobs (JSON; empty: null), finish_reason. It is text,
// as the values of many log-probabilities would take many times their text.
std::string ChoiceText(int32_t index, const Json& members, const std::string& logprobs,
                       std::optional<EndReason> reason);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_OPENAI_REPLY_H_
