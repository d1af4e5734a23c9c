// What a session puts out, in order: for each choice Deltas and ToolCallDeltas as they become
// whole, then its ChoiceEnd; Progress while prompts are computed; Usage last.
#ifndef HEARTH_SERVER_OUTPUT_H_
#define HEARTH_SERVER_OUTPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/request.h"

namespace hearth::server {

struct OutputToken {
  TokenId id;
  // Where they were asked for. The first token of an echoed prompt has none: nothing foretold it.
  std::optional<float> logprob;
  std::vector<TokenLogprob> top = {};  // likeliest first
  int32_t offset = 0;                  // characters of the choice's text that were whole before it
};

// Text that became whole, of one choice; or tokens whose text is yet to come, or never will: those
// of a tool call, and of a stop string.
struct Delta {
  int32_t index;
  std::string text;
  std::vector<OutputToken> tokens;
};

// A part of a tool call. The first of each has its id and name; arguments are to be joined.
struct ToolCallDelta {
  int32_t index;
  int32_t call;  // of the choice, from 0
  std::string id;
  std::string name;
  std::string arguments;
};

enum class EndReason { kStop, kLength, kToolCalls };
const char* Name(EndReason reason);  // "stop", "length", "tool_calls"

struct ChoiceEnd {
  int32_t index;
  EndReason reason;
  std::string stop = "";  // the stop string that ended it
};

// Everything ended; the last output.
struct Usage {
  int32_t prompt_tokens = 0;      // of all prompts
  int32_t completion_tokens = 0;  // of all choices
  int32_t cached_tokens = 0;      // of the prompts
};

using Output = std::variant<Progress, Delta, ToolCallDelta, ChoiceEnd, Usage>;

// A choice as a whole.
struct WholeChoice {
  struct Call {
    std::string id;
    std::string name;
    std::string arguments;
  };
  std::string text;
  std::vector<OutputToken> tokens;
  std::vector<Call> calls;
  EndReason reason = EndReason::kStop;
  std::string stop;  // as of ChoiceEnd

  // Adds what `output` has of it. REQUIRES: it is of this choice, in order.
  void Add(const Delta& delta);
  void Add(const ToolCallDelta& delta);
  void Add(const ChoiceEnd& end);
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_OUTPUT_H_
