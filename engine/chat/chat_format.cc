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
                                                        size_t enough) const {
  if (messages.empty()) return absl::InvalidArgumentError("messages: empty");
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].tools.empty()) continue;
    if (!row_->takes_tools || messages[i].role != Role::kSystem) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].tools: not taken here"));
    }
  }
  Prompt prompt(*tokenizer_, enough);
  HEARTH_RETURN_IF_ERROR(row_->render(messages, prompt));
  return prompt.TakeIds();
}

std::string_view ChatFormat::name() const { return row_->name; }

absl::Status RoleError(size_t index, const char* problem) {
  return absl::InvalidArgumentError(absl::StrCat("messages[", index, "].role: ", problem));
}

}  // namespace hearth
