// A generation as OpenAI's Responses API writes it.
#ifndef HEARTH_SERVER_HTTP_RESPONSE_REPLY_H_
#define HEARTH_SERVER_HTTP_RESPONSE_REPLY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "server/http/json.h"
#include "server/http/reply_writer.h"

namespace hearth::server {

// The output is a list of items: a message for each run of text, a function_call for each call, in
// the order in which they come. Nothing at all is an empty message.
class ResponseReply final : public ReplyWriter {
 public:
  // `echo`: what a response repeats of its request. REQUIRES: the daemon outlives the writer.
  ResponseReply(const Daemon& daemon, const Session& session, Json echo);

  std::string Whole() override { return Response(EndStatus()); }
  void Open(SseEvents& events) override;
  void Write(const Output& output, SseEvents& events) override;
  SseEvent Error(const HttpError& error) override;

 private:
  enum class Item { kNone, kMessage, kCall };

  void WriteDelta(const Delta& delta, SseEvents& events);
  void WriteCall(const ToolCallDelta& call, SseEvents& events);
  void WriteEnd(const Usage& usage, SseEvents& events);

  void OpenMessage(SseEvents& events);
  void OpenCall(const ToolCallDelta& call, SseEvents& events);
  void CloseItem(const char* status, SseEvents& events);

  // All as JSON text.
  std::string TextPart() const;
  std::string MessageItem(const char* status, const std::string& part) const;
  std::string CallItem(const char* status) const;
  std::string Logprobs(const std::vector<OutputToken>& tokens) const;
  std::string Response(const char* status) const;
  std::string ItemId() const;
  // "completed", or "incomplete" when max_output_tokens ended it.
  const char* EndStatus() const;

  // An event with `members` and one that is JSON text; of the open item; of its text.
  void Add(std::string_view type, Json members, std::string_view name, const std::string& text,
           SseEvents& events);
  void AddOfItem(std::string_view type, Json members, std::string_view name,
                 const std::string& text, SseEvents& events);
  void AddOfPart(std::string_view type, Json members, std::string_view name,
                 const std::string& text, SseEvents& events);

  const Tokenizer& tokenizer_;
  const bool logprobs_asked_;
  const std::string id_;  // the session's
  const Json preamble_;   // members that a response begins with
  const Json echo_;

  std::string items_;  // those that are closed, as JSON text
  int32_t item_count_ = 0;
  Json usage_, error_;
  EndReason reason_ = EndReason::kStop;
  int64_t sequence_number_ = 0;

  // The open item.
  Item item_ = Item::kNone;
  int32_t call_ = 0;                  // of the choice
  std::string call_id_, name_;        // of a call
  std::string text_;                  // of a message, or the arguments of a call
  std::vector<OutputToken> tokens_;   // of the text
  std::vector<OutputToken> pending_;  // of text that is yet to come
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_RESPONSE_REPLY_H_
