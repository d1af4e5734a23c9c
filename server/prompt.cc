#include "server/prompt.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/status.h"
#include "server/tokenization.h"
#include "server/tool_use.h"

namespace hearth::server {
namespace {

using Messages = std::vector<Message>;

constexpr size_t kMaxMessages = 10'000;

// Prompts are encoded a little further than the context, to say by how much they exceed it.
size_t Enough(const ModelInfo& info) { return 2 * static_cast<size_t>(info.max_context); }

// ChatFormat names messages[i], which a client may know by another path.
absl::Status NameMessage(const absl::Status& status, const FieldNames& names) {
  const std::string message(status.message());
  const size_t open = message.find('[');
  const size_t close = message.find(']');
  const size_t colon = message.find(": ");
  size_t index = 0;
  if (colon == message.npos || close >= colon || message.substr(0, open) != "messages" ||
      !absl::SimpleAtoi(message.substr(open + 1, close - open - 1), &index)) {
    return WithParam(status, names.prompt);
  }
  return InvalidParam(
      absl::StrCat(names.Message(index), message.substr(close + 1, colon - close - 1)),
      message.substr(colon + 2));
}

absl::StatusOr<std::vector<TokenId>> RenderChat(const Daemon& daemon, const GenerationRequest& wire,
                                                absl::Span<const Message> messages) {
  absl::Span<const Tool> tools;
  if (wire.tool_choice.mode != ToolChoice::Mode::kNone) tools = wire.tools;
  absl::StatusOr<std::vector<TokenId>> prompt =
      daemon.chat_format()->Render(messages, tools, Enough(daemon.engine().info()));
  if (!prompt.ok()) return NameMessage(prompt.status(), wire.names);
  return prompt;
}

absl::Status CheckMessages(const Daemon& daemon, const GenerationRequest& wire,
                           const Messages& messages) {
  const std::string& name = wire.names.prompt;
  if (messages.empty()) return InvalidParam(name, "at least one message is needed");
  if (messages.size() > kMaxMessages) {
    return InvalidParam(name, absl::StrCat("at most ", kMaxMessages, " messages"));
  }
  if (daemon.chat_format() == nullptr) {
    return InvalidParam(name, "this model has no chat format the daemon knows; use completions");
  }
  return CheckCalls(wire, messages);
}

absl::StatusOr<std::vector<TokenId>> EncodePromptText(const Engine& engine, const std::string& text,
                                                      const GenerationRequest& wire) {
  // Of a text whose beginning may be dropped, the end counts.
  const size_t enough =
      wire.overflow == Overflow::kDropOldest ? Tokenizer::kAll : Enough(engine.info());
  std::vector<TokenId> ids = EncodeText(engine.tokenizer(), text, /*add_special=*/true, enough);
  if (!ids.empty()) return ids;
  return InvalidParam(wire.names.prompt, "must not be empty: this model has no BOS token");
}

absl::StatusOr<std::vector<TokenId>> CheckTokens(const std::vector<int64_t>& wire, int32_t vocab,
                                                 std::string_view name) {
  if (wire.empty()) return InvalidParam(name, "must not be an empty list");
  for (int64_t id : wire) {
    if (id < 0 || id >= vocab) {
      return InvalidParam(name, absl::StrCat("token ids must be within [0, ", vocab, ")"));
    }
  }
  return std::vector<TokenId>(wire.begin(), wire.end());
}

absl::StatusOr<std::optional<int32_t>> AskedLimit(const GenerationRequest& wire) {
  if (!wire.max_tokens) return std::nullopt;
  const int64_t least = wire.echo ? 0 : 1;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (*wire.max_tokens < least || *wire.max_tokens > kMost) {
    return InvalidParam(wire.names.max_tokens,
                        absl::StrCat("must be within [", least, ", ", kMost, "]"));
  }
  return static_cast<int32_t>(*wire.max_tokens);
}

absl::Status TooLong(const GenerationRequest& wire, const ModelInfo& info, size_t tokens) {
  return InvalidParam(wire.names.prompt,
                      absl::StrCat("the prompt has ", tokens > Enough(info) ? "more than " : "",
                                   std::min(tokens, Enough(info)), " tokens, the context holds ",
                                   info.max_context, " together with the output"),
                      "context_length_exceeded");
}

absl::Status LeavesTooLittle(const GenerationRequest& wire, const ModelInfo& info, size_t tokens) {
  return InvalidParam(
      wire.names.max_tokens,
      absl::StrCat("the prompt has ", tokens, " tokens, which leaves ", info.max_context - tokens,
                   " of the context of ", info.max_context),
      "context_length_exceeded");
}

// What a prompt that has to be cut leaves for the output where no limit is asked for.
size_t DefaultRoom(const ModelInfo& info) {
  return std::max(1, std::min(info.default_max_tokens, info.max_context / 4));
}

// Where the conversation may begin when its oldest turns are left out: a turn begins with what the
// user says; the last message always stays.
std::vector<size_t> TurnStarts(const Messages& messages, size_t first) {
  std::vector<size_t> starts;
  for (size_t i = first + 1; i < messages.size(); ++i) {
    if (messages[i].role == Role::kUser || i + 1 == messages.size()) starts.push_back(i);
  }
  return starts;
}

// The longest end of the conversation, behind its system messages, that has at most `most` tokens;
// the shortest there is where none has.
absl::StatusOr<std::vector<TokenId>> DropOldestTurns(const Daemon& daemon,
                                                     const GenerationRequest& wire,
                                                     const Messages& messages, size_t most) {
  size_t system = 0;
  while (system + 1 < messages.size() && messages[system].role == Role::kSystem) ++system;
  const std::vector<size_t> starts = TurnStarts(messages, system);
  const auto render = [&](size_t start) {
    Messages kept(messages.begin(), messages.begin() + static_cast<ptrdiff_t>(system));
    kept.insert(kept.end(), messages.begin() + static_cast<ptrdiff_t>(start), messages.end());
    return RenderChat(daemon, wire, kept);
  };
  size_t low = 0;
  size_t high = starts.empty() ? 0 : starts.size() - 1;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> prompt, render(starts[middle]));
    if (prompt.size() <= most) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return render(starts.empty() ? system : starts[low]);
}

// The end of a text, behind its BOS.
std::vector<TokenId> DropBeginning(const Tokenizer& tokenizer, std::vector<TokenId> prompt,
                                   size_t most) {
  if (prompt.size() <= most) return prompt;
  const bool bos = tokenizer.add_bos() && prompt.front() == tokenizer.bos() && most > 1;
  prompt.erase(prompt.begin() + (bos ? 1 : 0), prompt.end() - static_cast<ptrdiff_t>(most - bos));
  return prompt;
}

}  // namespace

absl::StatusOr<std::vector<TokenId>> EncodePrompt(const Daemon& daemon,
                                                  const GenerationRequest& wire,
                                                  const PromptSpec& prompt) {
  if (const auto* messages = std::get_if<Messages>(&prompt)) {
    HEARTH_RETURN_IF_ERROR(CheckMessages(daemon, wire, *messages));
    return RenderChat(daemon, wire, *messages);
  }
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    return EncodePromptText(daemon.engine(), *text, wire);
  }
  return CheckTokens(std::get<std::vector<int64_t>>(prompt), daemon.engine().info().vocab_size,
                     wire.names.prompt);
}

absl::StatusOr<FittedPrompt> FitPrompt(const Daemon& daemon, const GenerationRequest& wire,
                                       const PromptSpec& prompt) {
  const ModelInfo& info = daemon.engine().info();
  const size_t context = static_cast<size_t>(info.max_context);
  HEARTH_ASSIGN_OR_RETURN(const std::optional<int32_t> asked, AskedLimit(wire));
  HEARTH_ASSIGN_OR_RETURN(std::vector<TokenId> tokens, EncodePrompt(daemon, wire, prompt));
  const size_t room = asked ? static_cast<size_t>(*asked) : 1;
  if (tokens.size() + room > context && wire.overflow == Overflow::kDropOldest && room < context) {
    const size_t most = context - (asked ? room : DefaultRoom(info));
    if (const auto* messages = std::get_if<Messages>(&prompt)) {
      HEARTH_ASSIGN_OR_RETURN(tokens, DropOldestTurns(daemon, wire, *messages, most));
    } else {
      tokens = DropBeginning(daemon.engine().tokenizer(), std::move(tokens), most);
    }
  }
  if (tokens.size() + std::min<size_t>(room, 1) > context) {
    return TooLong(wire, info, tokens.size());
  }
  if (tokens.size() + room > context) return LeavesTooLittle(wire, info, tokens.size());
  return FittedPrompt{std::move(tokens), asked.value_or(info.default_max_tokens)};
}

bool BeginsWithSpace(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt) {
  const bool opens = prompt.size() == 1 && prompt[0] == tokenizer.bos();
  return tokenizer.leading_space() && (opens || tokenizer.IsMarker(prompt.back()));
}

}  // namespace hearth::server
