// The events of a generation put together, and the messages of a conversation.
#ifndef HEARTH_CLIENTS_CPP_HEARTH_REPLY_H_
#define HEARTH_CLIENTS_CPP_HEARTH_REPLY_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/stream.h"
#include "hearth/v1/inference.pb.h"

namespace hearth {

struct Choice {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<v1::TokenLogprobs> logprobs;     // of each token, where asked for
  std::map<int32_t, v1::ToolCall> tool_calls;  // by their place in the choice
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  std::string stop;  // the stop string that ended it, if one did

  // As it continues the conversation.
  v1::Message Message() const;
};

struct Reply {
  v1::Accepted accepted;
  std::map<int32_t, Choice> choices;  // by index
  v1::Usage usage;

  // What an event adds.
  void Add(const v1::GenerateEvent& event);
  // Of the first choice; empty before it has begun.
  const Choice& first() const;
};

// Reads a generation to its end.
absl::StatusOr<Reply> Collect(GenerationStream stream);

v1::Message SystemMessage(std::string_view text);
v1::Message UserMessage(std::string_view text);
// What a tool answered to `call`.
v1::Message ToolMessage(const v1::ToolCall& call, std::string_view result);

}  // namespace hearth

#endif  // HEARTH_CLIENTS_CPP_HEARTH_REPLY_H_
