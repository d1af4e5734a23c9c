#include "server/grpc/events.h"

#include <string>
#include <variant>

namespace hearth::server {
namespace {

class EventWriter {
 public:
  EventWriter(const Tokenizer& tokenizer, bool logprobs, v1::GenerateEvent& event)
      : tokenizer_(tokenizer), logprobs_(logprobs), event_(event) {}

  void operator()(const Progress& progress) {
    v1::Progress& wire = *event_.mutable_progress();
    wire.set_prompt_tokens(progress.prompt_tokens);
    wire.set_computed_tokens(progress.computed_tokens);
    wire.set_cached_tokens(progress.cached_tokens);
  }

  void operator()(const Delta& delta) {
    v1::Delta& wire = *event_.mutable_delta();
    wire.set_index(delta.index);
    wire.set_text(delta.text);
    for (const OutputToken& token : delta.tokens) {
      wire.add_tokens(token.id);
      if (logprobs_) FillLogprobs(token, *wire.add_logprobs());
    }
  }

  void operator()(const ToolCallDelta& call) {
    v1::ToolCallDelta& wire = *event_.mutable_tool_call();
    wire.set_index(call.index);
    wire.set_call(call.call);
    wire.set_id(call.id);
    wire.set_name(call.name);
    wire.set_arguments(call.arguments);
  }

  void operator()(const ChoiceEnd& end) {
    v1::Finish& wire = *event_.mutable_finish();
    wire.set_index(end.index);
    wire.set_reason(Reason(end.reason));
    wire.set_stop(end.stop);
  }

  void operator()(const Usage& usage) {
    v1::Usage& wire = *event_.mutable_usage();
    wire.set_prompt_tokens(usage.prompt_tokens);
    wire.set_completion_tokens(usage.completion_tokens);
    wire.set_cached_tokens(usage.cached_tokens);
  }

 private:
  static v1::FinishReason Reason(EndReason reason) {
    switch (reason) {
      case EndReason::kStop:
        return v1::FINISH_REASON_STOP;
      case EndReason::kLength:
        return v1::FINISH_REASON_LENGTH;
      case EndReason::kToolCalls:
        return v1::FINISH_REASON_TOOL_CALLS;
    }
    return v1::FINISH_REASON_UNSPECIFIED;
  }

  void FillLogprobs(const OutputToken& token, v1::TokenLogprobs& wire) {
    if (!token.logprob) return;
    FillLogprob(token.id, *token.logprob, *wire.mutable_token());
    for (const TokenLogprob& other : token.top) {
      FillLogprob(other.token, other.logprob, *wire.add_top());
    }
  }

  void FillLogprob(TokenId id, float logprob, v1::TokenLogprob& wire) {
    wire.set_token(id);
    wire.set_logprob(logprob);
    wire.set_text(std::string(tokenizer_.Bytes(id)));
  }

  const Tokenizer& tokenizer_;
  const bool logprobs_;
  v1::GenerateEvent& event_;
};

}  // namespace

v1::GenerateEvent ToEvent(const Output& output, const Tokenizer& tokenizer, bool logprobs) {
  v1::GenerateEvent event;
  std::visit(EventWriter(tokenizer, logprobs, event), output);
  return event;
}

}  // namespace hearth::server
