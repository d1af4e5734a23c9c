#include "server/output.h"

namespace hearth::server {

const char* Name(EndReason reason) {
  switch (reason) {
    case EndReason::kStop:
      return "stop";
    case EndReason::kLength:
      return "length";
    case EndReason::kToolCalls:
      return "tool_calls";
  }
  return "";
}

void WholeChoice::Add(const Delta& delta) {
  text += delta.text;
  tokens.insert(tokens.end(), delta.tokens.begin(), delta.tokens.end());
}

void WholeChoice::Add(const ToolCallDelta& delta) {
  if (static_cast<size_t>(delta.call) == calls.size()) calls.push_back({delta.id, delta.name, ""});
  calls[delta.call].arguments += delta.arguments;
}

void WholeChoice::Add(const ChoiceEnd& end) {
  reason = end.reason;
  stop = end.stop;
}

}  // namespace hearth::server
