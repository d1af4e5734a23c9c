#include "engine/chat/chat_format.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/chat/formats.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr ChatFormatRow kFormats[] = {
#include "engine/chat/formats.inc"
};

bool HasMarkers(const Tokenizer& tokenizer, const ChatFormatRow& row) {
  const std::vector<std::string> markers = absl::StrSplit(std::string(row.markers), ' ');
  for (const std::string& marker : markers) {
    if (!tokenizer.Marker(marker)) return false;
  }
  return true;
}

absl::Status CheckToolless(absl::Span<const Message> messages, absl::Span<const Tool> tools) {
  if (!tools.empty()) {
    return absl::InvalidArgumentError("tools: this model's chat format has none");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == Role::kTool) return RoleError(i, "this model's chat format has none");
    if (messages[i].tool_calls.empty() && messages[i].tool_list.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("messages[", i, "]: this model's chat format has no tools"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatFormat> ChatFormat::Create(const Tokenizer& tokenizer) {
  // A Jinja string may hold a newline or its escape; features are looked for with newlines.
  const std::string jinja =
      absl::StrReplaceAll(tokenizer.vocabulary().chat_template, {{"\\n", "\n"}});
  const ChatFormatRow* fallback = nullptr;
  for (const ChatFormatRow& row : kFormats) {
    if (!HasMarkers(tokenizer, row)) continue;
    if (row.is_template(jinja)) return ChatFormat(tokenizer, row, /*template_known=*/true);
    if (fallback == nullptr) fallback = &row;
  }
  if (fallback != nullptr) return ChatFormat(tokenizer, *fallback, jinja.empty());
  return absl::NotFoundError(absl::StrCat(
      "chat: the vocabulary has not the markers of any known chat format (",
      absl::StrJoin(kFormats, ", ",
                    [](std::string* out, const ChatFormatRow& row) { out->append(row.name); }),
      ")"));
}

absl::StatusOr<std::vector<TokenId>> ChatFormat::Render(absl::Span<const Message> messages,
                                                        absl::Span<const Tool> tools,
                                                        size_t enough) const {
  if (messages.empty()) return absl::InvalidArgumentError("messages: empty");
  if (!row_->takes_tools) HEARTH_RETURN_IF_ERROR(CheckToolless(messages, tools));
  Prompt prompt(*tokenizer_, enough);
  HEARTH_RETURN_IF_ERROR(row_->render(messages, tools, prompt));
  return prompt.TakeIds();
}

std::string_view ChatFormat::name() const { return row_->name; }

ToolCallSyntax ChatFormat::tool_call_syntax() const {
  const ToolCallForm& form = row_->tool_calls;
  return {std::string(form.opening), tokenizer_->Marker(form.open), tokenizer_->Marker(form.close)};
}

absl::Status RoleError(size_t index, const char* problem) {
  return absl::InvalidArgumentError(absl::StrCat("messages[", index, "].role: ", problem));
}

}  // namespace hearth
