#include "server/prompt_requests.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/prepare.h"
#include "server/prompt.h"
#include "server/status.h"
#include "server/tool_use.h"

namespace hearth::server {
namespace {

constexpr size_t kMaxCandidates = 64;
// Of all candidates: what is told of each takes a hundred bytes.
constexpr size_t kMaxCandidateTokens = 65'536;
constexpr size_t kMaxPinNameBytes = 64;

using Tokens = std::vector<TokenId>;

absl::Status CheckFits(const Daemon& daemon, size_t tokens, std::string_view param) {
  const auto context = static_cast<size_t>(daemon.engine().info().max_context);
  if (tokens <= context) return absl::OkStatus();
  return InvalidParam(
      param,
      absl::StrCat("has ", tokens > 2 * context ? "more than " : "", std::min(tokens, 2 * context),
                   " tokens, the context holds ", context),
      "context_length_exceeded");
}

// Each made when it is its turn, and again where the queue was full: it may wait as long as any
// from then on.
PromptRequests Make(const Daemon& daemon, Request prototype, size_t count,
                    std::function<void(size_t index, Request& request)> fill) {
  const std::chrono::milliseconds wait(daemon.config().limits().queue_timeout_ms());
  return {count, [prototype = std::move(prototype), fill = std::move(fill), wait](size_t index) {
            Request request = prototype;
            request.queue_deadline = Clock::now() + wait;
            fill(index, request);
            return request;
          }};
}

absl::StatusOr<Tokens> EncodePrefix(const Daemon& daemon, const GenerationRequest& wire) {
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model));
  HEARTH_RETURN_IF_ERROR(CheckTools(wire));
  HEARTH_ASSIGN_OR_RETURN(Tokens tokens, EncodePrompt(daemon, wire, wire.prompts.front()));
  HEARTH_RETURN_IF_ERROR(CheckFits(daemon, tokens.size(), wire.names.prompt));
  return tokens;
}

// What follows text is not the beginning of a text, before which SentencePiece writes a space.
Tokens EncodeContinuation(const Tokenizer& tokenizer, const Tokens& prefix, std::string_view text) {
  const bool has_space = tokenizer.leading_space() && !BeginsWithSpace(tokenizer, prefix);
  if (has_space && text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  return tokenizer.Encode(text);
}

absl::StatusOr<std::vector<Tokens>> EncodeCandidates(const Daemon& daemon, const Tokens& prefix,
                                                     const std::vector<std::string>& texts) {
  if (texts.empty() || texts.size() > kMaxCandidates) {
    return InvalidParam("candidates", absl::StrCat("1 to ", kMaxCandidates, " texts"));
  }
  std::vector<Tokens> candidates;
  size_t tokens = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string param = absl::StrCat("candidates[", i, "]");
    if (texts[i].empty()) return InvalidParam(param, "must not be empty");
    candidates.push_back(EncodeContinuation(daemon.engine().tokenizer(), prefix, texts[i]));
    tokens += candidates.back().size();
    HEARTH_RETURN_IF_ERROR(CheckFits(daemon, prefix.size() + candidates.back().size(), param));
  }
  if (tokens <= kMaxCandidateTokens) return candidates;
  return InvalidParam("candidates", absl::StrCat("are more than ", kMaxCandidateTokens, " tokens"));
}

// What every continuation of the conversation begins with: the prompt as far as another message
// does not change it.
absl::StatusOr<Tokens> EncodeUpToLastMessage(const Daemon& daemon, GenerationRequest chat) {
  HEARTH_ASSIGN_OR_RETURN(Tokens prompt, EncodePrefix(daemon, chat));
  auto& messages = std::get<std::vector<Message>>(chat.prompts.front());
  const bool of_user = messages.back().role == Role::kUser;
  messages.push_back({of_user ? Role::kAssistant : Role::kUser, "x"});
  HEARTH_ASSIGN_OR_RETURN(const Tokens longer, EncodePrompt(daemon, chat, chat.prompts.front()));
  const auto [end, unused] =
      std::mismatch(prompt.begin(), prompt.end(), longer.begin(), longer.end());
  prompt.erase(end, prompt.end());
  return prompt;
}

bool IsPinNameChar(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.'; }

}  // namespace

absl::StatusOr<std::vector<TokenId>> RenderConversation(const Daemon& daemon,
                                                        const GenerationRequest& chat) {
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(chat.model));
  HEARTH_RETURN_IF_ERROR(CheckTools(chat));
  HEARTH_ASSIGN_OR_RETURN(Tokens ids, EncodePrompt(daemon, chat, chat.prompts.front()));
  const size_t most = 2 * static_cast<size_t>(daemon.engine().info().max_context);
  if (ids.size() <= most) return ids;
  return InvalidParam(chat.names.prompt, absl::StrCat("are more than ", most, " tokens"),
                      "context_length_exceeded");
}

absl::StatusOr<PromptRequests> EmbeddingRequests(const Daemon& daemon,
                                                 const GenerationRequest& wire, Pooling pooling,
                                                 size_t most) {
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model));
  if (wire.prompts.empty()) return InvalidParam(wire.names.prompt, "must not be an empty list");
  if (wire.prompts.size() > most) {
    return InvalidParam(wire.names.prompt, absl::StrCat("must be at most ", most, " inputs"));
  }
  HEARTH_ASSIGN_OR_RETURN(Request prototype, PromptPrototype(daemon, wire));
  prototype.pooling = pooling;
  std::vector<Tokens> inputs;
  for (size_t i = 0; i < wire.prompts.size(); ++i) {
    GenerationRequest one;  // to name the input in messages
    one.names.prompt =
        wire.prompts.size() == 1 ? wire.names.prompt : absl::StrCat(wire.names.prompt, "[", i, "]");
    const auto* text = std::get_if<std::string>(&wire.prompts[i]);
    if (text != nullptr && text->empty()) {
      return InvalidParam(one.names.prompt, "must not be empty");
    }
    HEARTH_ASSIGN_OR_RETURN(Tokens tokens, EncodePrompt(daemon, one, wire.prompts[i]));
    HEARTH_RETURN_IF_ERROR(CheckFits(daemon, tokens.size(), one.names.prompt));
    inputs.push_back(std::move(tokens));
  }
  const size_t count = inputs.size();
  return Make(
      daemon, std::move(prototype), count,
      [inputs = std::move(inputs)](size_t i, Request& request) { request.prompt = inputs[i]; });
}

absl::StatusOr<Scoring> ScoreRequests(const Daemon& daemon, const GenerationRequest& prefix,
                                      const std::vector<std::string>& candidates) {
  HEARTH_ASSIGN_OR_RETURN(Tokens tokens, EncodePrefix(daemon, prefix));
  HEARTH_ASSIGN_OR_RETURN(std::vector<Tokens> encoded,
                          EncodeCandidates(daemon, tokens, candidates));
  HEARTH_ASSIGN_OR_RETURN(Request prototype, PromptPrototype(daemon, prefix));
  const auto prefix_tokens = static_cast<int32_t>(tokens.size());
  prototype.prompt = std::move(tokens);
  prototype.prompt_logits_from = prefix_tokens;
  prototype.top_logprobs = 0;
  const size_t count = encoded.size();
  return Scoring{Make(daemon, std::move(prototype), count,
                      [encoded = std::move(encoded)](size_t i, Request& request) {
                        request.prompt.insert(request.prompt.end(), encoded[i].begin(),
                                              encoded[i].end());
                      }),
                 prefix_tokens};
}

absl::StatusOr<std::string> PinName(const std::string& client, const std::string& name) {
  if (name.empty() || name.size() > kMaxPinNameBytes ||
      !std::all_of(name.begin(), name.end(), IsPinNameChar)) {
    return InvalidParam("name", "must be 1 to 64 of letters, digits, \"_\", \"-\" and \".\"");
  }
  return absl::StrCat(name, "/", client);
}

absl::StatusOr<Pinning> PinRequests(const Daemon& daemon, const GenerationRequest& prefix,
                                    const std::string& name) {
  HEARTH_ASSIGN_OR_RETURN(Request prototype, PromptPrototype(daemon, prefix));
  HEARTH_ASSIGN_OR_RETURN(prototype.pin, PinName(prefix.client, name));
  const bool chat = std::holds_alternative<std::vector<Message>>(prefix.prompts.front());
  HEARTH_ASSIGN_OR_RETURN(prototype.prompt, chat ? EncodeUpToLastMessage(daemon, prefix)
                                                 : EncodePrefix(daemon, prefix));
  const int32_t block = daemon.engine().info().block_tokens;
  const auto kept = static_cast<int32_t>(prototype.prompt.size()) / block * block;
  if (kept == 0) {
    return InvalidParam(
        prefix.names.prompt,
        absl::StrCat(prototype.prompt.size(), " tokens; a pin keeps whole blocks of ", block));
  }
  return Pinning{Make(daemon, std::move(prototype), 1, [](size_t, Request&) {}), kept};
}

}  // namespace hearth::server
