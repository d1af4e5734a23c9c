// POST /v1/chat/completions. `model` may be absent: the daemon serves one.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/http/chat_messages.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/http/logprobs.h"
#include "server/http/openai_reply.h"
#include "server/http/tool_fields.h"

namespace hearth::server {
namespace {

class ChatReply final : public OpenAiReply {
 public:
  ChatReply(const Daemon& daemon, const Session& session, const StreamOptions& options)
      : OpenAiReply(daemon, session, {"chatcmpl-", "chat.completion", "chat.completion.chunk"},
                    options),
        tokenizer_(daemon.engine().tokenizer()),
        choices_(session.choices()),
        logprobs_(session.logprobs()) {}

  void Open(SseEvents& events) override {
    for (int32_t i = 0; i < choices_; ++i) {
      AddDelta(i, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}, events);
    }
  }

 private:
  std::string WriteChoice(int32_t index, WholeChoice choice) override {
    Json message = {{"role", "assistant"}};
    const bool called = !choice.calls.empty();
    message["content"] = called && choice.text.empty() ? Json() : Json(std::move(choice.text));
    message["refusal"] = nullptr;
    for (WholeChoice::Call& call : choice.calls) {
      message["tool_calls"].push_back(
          {{"id", std::move(call.id)},
           {"type", "function"},
           {"function",
            {{"name", std::move(call.name)}, {"arguments", std::move(call.arguments)}}}});
    }
    return ChoiceText(index, {{"message", std::move(message)}}, Logprobs(choice.tokens),
                      choice.reason);
  }

  void WriteDelta(const Delta& delta, SseEvents& events) override {
    const bool tokens = logprobs_ && !delta.tokens.empty();
    if (delta.text.empty() && !tokens) return;
    AddChunk(ChoiceText(delta.index, {{"delta", {{"content", delta.text}}}},
                        tokens ? Logprobs(delta.tokens) : "", std::nullopt),
             events);
  }

  void WriteCall(const ToolCallDelta& call, SseEvents& events) override {
    Json part = {{"index", call.call}};
    if (!call.id.empty()) {
      part["id"] = call.id;
      part["type"] = "function";
      part["function"]["name"] = call.name;
    }
    part["function"]["arguments"] = call.arguments;
    AddDelta(call.index, {{"tool_calls", Json::array({std::move(part)})}}, events);
  }

  void WriteEnd(const ChoiceEnd& end, SseEvents& events) override {
    AddChunk(ChoiceText(end.index, {{"delta", Json::object()}}, "", end.reason), events);
  }

  void AddDelta(int32_t index, Json delta, SseEvents& events) {
    AddChunk(ChoiceText(index, {{"delta", std::move(delta)}}, "", std::nullopt), events);
  }

  std::string Logprobs(const std::vector<OutputToken>& tokens) const {
    return logprobs_ ? ChatLogprobs(tokenizer_, tokens) : "";
  }

  const Tokenizer& tokenizer_;
  const int32_t choices_;
  const bool logprobs_;
};

absl::Status ReadConversation(const Json& body, GenerationRequest& request) {
  HEARTH_RETURN_IF_ERROR(ReadMessages(body, request));
  return ReadOpenAiTools(body, ToolForm::kNested, request);
}

}  // namespace

absl::StatusOr<HttpReply> ChatCompletions(Daemon& daemon, HttpRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(OpenAiCall call,
                          ReadGenerationCall(daemon, request, Dialect::kChat, ReadConversation));
  const StreamOptions options = call.stream_options;
  return Generate(daemon, request, std::move(call),
                  [options](const Daemon& served, const Session& session) {
                    return std::make_unique<ChatReply>(served, session, options);
                  });
}

}  // namespace hearth::server
