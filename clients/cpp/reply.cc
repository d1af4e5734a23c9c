#include "hearth/reply.h"

#include <utility>

namespace hearth {
namespace {

v1::Message MakeMessage(v1::Role role, std::string_view text) {
  v1::Message message;
  message.set_role(role);
  message.set_content(std::string(text));
  return message;
}

}  // namespace

v1::Message Choice::Message() const {
  v1::Message message = MakeMessage(v1::ROLE_ASSISTANT, text);
  for (const auto& [index, call] : tool_calls) *message.add_tool_calls() = call;
  return message;
}

void Reply::Add(const v1::GenerateEvent& event) {
  switch (event.event_case()) {
    case v1::GenerateEvent::kAccepted:
      accepted = event.accepted();
      break;
    case v1::GenerateEvent::kDelta: {
      const v1::Delta& delta = event.delta();
      Choice& choice = choices[delta.index()];
      choice.text += delta.text();
      choice.tokens.insert(choice.tokens.end(), delta.tokens().begin(), delta.tokens().end());
      choice.logprobs.insert(choice.logprobs.end(), delta.logprobs().begin(),
                             delta.logprobs().end());
      break;
    }
    case v1::GenerateEvent::kToolCall: {
      const v1::ToolCallDelta& delta = event.tool_call();
      v1::ToolCall& call = choices[delta.index()].tool_calls[delta.call()];
      if (!delta.id().empty()) call.set_id(delta.id());
      if (!delta.name().empty()) call.set_name(delta.name());
      call.mutable_arguments()->append(delta.arguments());
      break;
    }
    case v1::GenerateEvent::kFinish: {
      Choice& choice = choices[event.finish().index()];
      choice.finish_reason = event.finish().reason();
      choice.stop = event.finish().stop();
      break;
    }
    case v1::GenerateEvent::kUsage:
      usage = event.usage();
      break;
    case v1::GenerateEvent::kProgress:
    case v1::GenerateEvent::EVENT_NOT_SET:
      break;
  }
}

const Choice& Reply::first() const {
  static const Choice kNone;
  const auto it = choices.find(0);
  return it == choices.end() ? kNone : it->second;
}

absl::StatusOr<Reply> Collect(GenerationStream stream) {
  Reply reply;
  for (const v1::GenerateEvent& event : stream) reply.Add(event);
  if (!stream.status().ok()) return stream.status();
  return reply;
}

v1::Message SystemMessage(std::string_view text) { return MakeMessage(v1::ROLE_SYSTEM, text); }

v1::Message UserMessage(std::string_view text) { return MakeMessage(v1::ROLE_USER, text); }

v1::Message ToolMessage(const v1::ToolCall& call, std::string_view result) {
  v1::Message message = MakeMessage(v1::ROLE_TOOL, result);
  message.set_tool_call_id(call.id());
  return message;
}

}  // namespace hearth
