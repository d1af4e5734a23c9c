// A generation as a client asked for it. Both transports fill it in; Prepare (server/prepare.h)
// checks it.
#ifndef HEARTH_SERVER_GENERATION_REQUEST_H_
#define HEARTH_SERVER_GENERATION_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/chat/chat_format.h"
#include "engine/constraint_source.h"
#include "engine/request.h"

namespace hearth::server {

// Which tools may be called, and whether one must be.
struct ToolChoice {
  enum class Mode { kAuto, kNone, kRequired };
  Mode mode = Mode::kAuto;
  std::vector<std::string> allowed = {};  // names of tools; empty: all
};

// What the text must be.
struct TextConstraint {
  std::string where;  // the field it came from: "response_format.json_schema.schema"
  ConstraintSource source;
};

// What happens with a prompt that leaves no room in the context.
enum class Overflow { kError, kDropOldest };

// A conversation, a text (empty: BOS alone), or token ids.
using PromptSpec = std::variant<std::vector<Message>, std::string, std::vector<int64_t>>;

// Fields as this transport's client spells them, for messages about them.
struct FieldNames {
  std::string prompt = "prompt";  // "messages" for chat
  std::string max_tokens = "max_tokens";
  std::string stop = "stop";
  std::string stop_tokens = "stop_token_ids";
  std::string top_logprobs = "top_logprobs";
  std::string cache_key = "cache_key";
  std::string tool = "";                  // behind "tools[0]" and a call: ".function"
  std::string parameters = "parameters";  // of a tool
  std::string arguments = "arguments";    // of a call
  std::string tool_choice = "tool_choice";
  // Where the messages of a conversation lie, and their calls, in order, where that is not
  // messages[0] and messages[0].tool_calls[0].
  std::vector<std::string> messages, calls;

  std::string Message(size_t index) const {
    return index < messages.size() ? messages[index] : absl::StrCat(prompt, "[", index, "]");
  }
};

// Kinds are checked by who fills it in, ranges are not: so both transports refuse the same things
// with the same words.
struct GenerationRequest {
  std::string model;                // empty: whichever is served (transports that require it check)
  std::vector<PromptSpec> prompts;  // each with n choices: choice i is of prompt i / n
  std::vector<Tool> tools;
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;  // false: one call at most
  std::optional<TextConstraint> constraint;

  std::optional<int64_t> max_tokens;
  std::optional<int64_t> min_tokens;
  std::optional<int64_t> n;
  bool ignore_eos = false;           // the model's own end tokens do not end it
  std::vector<int64_t> stop_tokens;  // beside the model's own
  std::vector<std::string> stop;
  std::optional<int64_t> top_logprobs;  // nullopt: no log-probabilities
  bool echo = false;                    // the prompt comes first in the output

  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> frequency_penalty;
  std::optional<double> presence_penalty;
  std::vector<std::pair<int64_t, double>> logit_bias;
  std::optional<uint64_t> seed;

  Priority priority = Priority::kNormal;
  std::string cache_key;  // prefixes are shared only between requests with the same one
  Overflow overflow = Overflow::kError;

  FieldNames names;

  // From the transport.
  std::string client;                     // fairness key
  std::optional<absl::Duration> timeout;  // the client's own deadline, from now

  // That this tool must be called, once.
  void CallOnly(std::string tool) {
    tool_choice = {ToolChoice::Mode::kRequired, {std::move(tool)}};
    parallel_tool_calls = false;
  }
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GENERATION_REQUEST_H_
