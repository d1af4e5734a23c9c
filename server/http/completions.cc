// POST /v1/completions. `model` may be absent: the daemon serves one. `prompt` is a string (the
// empty one is BOS alone), a list of token ids, or a list of such prompts; choice i is of prompt i
// / n.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation.h"
#include "server/http/generation_fields.h"
#include "server/http/logprobs.h"
#include "server/http/openai_reply.h"
#include "server/http/prompts.h"

namespace hearth::server {
namespace {

absl::Status ReadPromptAndEcho(const Json& body, GenerationRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(request.prompts, ReadPrompts(body, "prompt"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> echo, GetBool(body, "echo"));
  request.echo = echo.value_or(false);
  return absl::OkStatus();
}

class CompletionReply final : public OpenAiReply {
 public:
  CompletionReply(const Daemon& daemon, const Session& session, const StreamOptions& options)
      : OpenAiReply(daemon, session, {"cmpl-", "text_completion", "text_completion"}, options),
        tokenizer_(daemon.engine().tokenizer()),
        logprobs_(session.logprobs()) {}

  void Open(SseEvents&) override {}

 private:
  std::string WriteChoice(int32_t index, WholeChoice choice) override {
    return ChoiceText(index, {{"text", std::move(choice.text)}}, Logprobs(choice.tokens),
                      choice.reason);
  }

  void WriteDelta(const Delta& delta, SseEvents& events) override {
    const bool tokens = logprobs_ && !delta.tokens.empty();
    if (delta.text.empty() && !tokens) return;
    AddChunk(ChoiceText(delta.index, {{"text", delta.text}}, tokens ? Logprobs(delta.tokens) : "",
                        std::nullopt),
             events);
  }

  void WriteCall(const ToolCallDelta&, SseEvents&) override {}  // there are no tools

  void WriteEnd(const ChoiceEnd& end, SseEvents& events) override {
    AddChunk(ChoiceText(end.index, {{"text", ""}}, "", end.reason), events);
  }

  std::string Logprobs(const std::vector<OutputToken>& tokens) const {
    return logprobs_ ? CompletionLogprobs(tokenizer_, tokens) : "";
  }

  const Tokenizer& tokenizer_;
  const bool logprobs_;
};

}  // namespace

absl::StatusOr<HttpReply> Completions(Daemon& daemon, HttpRequest& request) {
  HEARTH_ASSIGN_OR_RETURN(
      OpenAiCall call,
      ReadGenerationCall(daemon, request, Dialect::kCompletions, ReadPromptAndEcho));
  const StreamOptions options = call.stream_options;
  return Generate(daemon, request, std::move(call),
                  [options](const Daemon& served, const Session& session) {
                    return std::make_unique<CompletionReply>(served, session, options);
                  });
}

}  // namespace hearth::server
