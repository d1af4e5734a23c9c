// Renders a conversation as the token ids that a model family was trained on.
#ifndef HEARTH_ENGINE_CHAT_CHAT_FORMAT_H_
#define HEARTH_ENGINE_CHAT_CHAT_FORMAT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/constraint_source.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth {

enum class Role { kSystem, kUser, kAssistant, kTool };

// A call that the assistant made.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object; empty: one without members
};

struct Message {
  Role role;
  std::string content;
  std::vector<ToolCall> tool_calls = {};  // of kAssistant, behind the content
  std::string tool_call_id = "";          // of kTool: the call that the content answers
  // Of kSystem: the tools that the model is told of, in the family's own form. Render fills it in
  // from Tools; who has that form already may give it instead of them.
  std::string tool_list = "";
};

// A function that the model is told of.
struct Tool {
  std::string name;
  std::string description;
  std::string parameters;  // JSON Schema of an object; empty: it takes none that are known
};

struct ChatFormatRow;  // of the table in formats.inc

// How a model family writes a conversation: markers as ids, messages as plain text that can
// never become a marker. A value; safe from any thread.
class ChatFormat {
 public:
  // The format whose markers the vocabulary has and whose template the file's own is; failing
  // the template, the first whose markers it has. NotFound when none fits: the model then
  // serves completions only. REQUIRES: tokenizer outlives the format.
  static absl::StatusOr<ChatFormat> Create(const Tokenizer& tokenizer);

  // The prompt up to where the assistant's next words begin, BOS included where the family or
  // the vocabulary has one. A function of messages and tools alone: no clock, no state.
  // InvalidArgument names messages[i] for roles the family does not know or orders it refuses, and
  // tools where it takes none. Where the prompt has more than `enough` ids, some may be missing.
  // REQUIRES: arguments and parameters are JSON, as Message and Tool have it.
  absl::StatusOr<std::vector<TokenId>> Render(absl::Span<const Message> messages,
                                              absl::Span<const Tool> tools = {},
                                              size_t enough = Tokenizer::kAll) const;

  std::string_view name() const;

  // How the family writes tool calls, with those markers that the vocabulary has; nothing in it
  // where the family has no such form.
  ToolCallSyntax tool_call_syntax() const;

  // False when the file carries a chat template that is not the one this format was written
  // from. It is never run; the prompt may differ from what the model's author meant (row M18).
  bool template_known() const { return template_known_; }

 private:
  ChatFormat(const Tokenizer& tokenizer, const ChatFormatRow& row, bool template_known)
      : tokenizer_(&tokenizer), row_(&row), template_known_(template_known) {}

  const Tokenizer* tokenizer_;
  const ChatFormatRow* row_;
  bool template_known_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CHAT_CHAT_FORMAT_H_
