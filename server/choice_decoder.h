// The tokens of one choice as what a client is to see: text, tool calls, and where it stops.
#ifndef HEARTH_SERVER_CHOICE_DECODER_H_
#define HEARTH_SERVER_CHOICE_DECODER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/chat/tool_calls.h"
#include "engine/constraint_source.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/output.h"
#include "server/stop_strings.h"

namespace hearth::server {

struct ChoiceOptions {
  int32_t index = 0;
  bool drop_leading_space = false;     // of what comes first, as StreamDecoder has it
  std::vector<std::string> stop = {};  // ends the text, not what stands within a tool call
  std::optional<ToolCallSyntax> tool_calls = {};  // if set, what looks like a call is one
  bool calls_only = false;  // the tokens are held to calls, so that there is no text
  bool logprobs = false;
  std::string call_id_prefix = {};
};

// Not thread-safe. REQUIRES: the tokenizer outlives it.
class ChoiceDecoder {
 public:
  ChoiceDecoder(const Tokenizer& tokenizer, ChoiceOptions options);

  // Tokens of the prompt, which come before those of the output and are text alone; with
  // log-probabilities, if they have any.
  void Echo(absl::Span<const TokenId> ids, std::deque<Output>& out);
  void Echo(const std::vector<Token>& tokens, std::deque<Output>& out);
  void Push(const Token& token, std::deque<Output>& out);
  // What was held back, at the end of the tokens; unless a stop string came.
  void Finish(std::deque<Output>& out);

  bool stopped() const { return stop_strings_.matched().has_value(); }
  // REQUIRES: Finish, or stopped(). `length`: the tokens ended at a limit.
  ChoiceEnd End(bool length) const;

  int32_t tokens() const { return tokens_; }

 private:
  OutputToken Shown(const Token& token) const;
  std::string Decode(TokenId id);
  void Show(std::string_view text, std::deque<Output>& out);
  void Show(const ToolCallOutput& found, std::deque<Output>& out);
  void ShowText(std::string_view text, std::deque<Output>& out);
  void ShowCall(const ToolCallPiece& piece, std::deque<Output>& out);

  const ChoiceOptions options_;
  StreamDecoder decoder_;
  std::optional<ToolCallParser> parser_;
  StopStrings stop_strings_;
  int32_t tokens_ = 0;      // received
  int32_t characters_ = 0;  // decoded
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_CHOICE_DECODER_H_
