// A generation as Anthropic's Messages API writes it.
#ifndef HEARTH_SERVER_HTTP_MESSAGE_REPLY_H_
#define HEARTH_SERVER_HTTP_MESSAGE_REPLY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/json.h"
#include "server/http/reply_writer.h"

namespace hearth::server {

// The content is a list of blocks: text for each run of text, tool_use for each call, in the order
// in which they come.
class MessageReply final : public ReplyWriter {
 public:
  MessageReply(const Daemon& daemon, const Session& session);

  std::string Whole() override;
  void Open(SseEvents& events) override;
  void Write(const Output& output, SseEvents& events) override;
  SseEvent Error(const HttpError& error) override;

 private:
  enum class Block { kNone, kText, kCall };

  void WriteDelta(const Delta& delta, SseEvents& events);
  void WriteCall(const ToolCallDelta& call, SseEvents& events);
  void WriteEnd(SseEvents& events);
  void AddDelta(Json delta, SseEvents& events);
  void OpenBlock(Block block, Json content, SseEvents& events);
  void CloseBlock(SseEvents& events);

  const Json preamble_;  // members that a message begins with
  const int32_t prompt_tokens_;

  Json content_ = Json::array();  // the blocks that are closed
  ChoiceEnd end_ = {0, EndReason::kStop};
  Usage usage_;

  // The open block.
  Block block_ = Block::kNone;
  int32_t call_ = 0;  // of the choice, of a call's block
  Json opening_;      // the block as it was begun, with nothing in it
  std::string text_;  // of a text, or the input of a call
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_MESSAGE_REPLY_H_
