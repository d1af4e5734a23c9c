#include "engine/chat/prompt.h"

#include <optional>

#include "engine/check.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {

void Prompt::AddMarker(std::string_view spelling) {
  const std::optional<TokenId> id = tokenizer_.Marker(spelling);
  HEARTH_CHECK(id.has_value());
  ids_.push_back(*id);
}

void Prompt::AddText(std::string_view text) {
  if (ids_.size() > enough_) return;
  const std::vector<TokenId> ids = tokenizer_.Encode(text, enough_ - ids_.size());
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

void Prompt::AddBosIfAsked() {
  if (tokenizer_.add_bos() && tokenizer_.bos()) ids_.push_back(*tokenizer_.bos());
}

std::string_view TrimStart(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = FirstUtf8Char(text);
    if (c.kind != Utf8Char::kWhole || !IsWhiteSpace(c.code)) break;
    text.remove_prefix(c.length);
  }
  return text;
}

std::string_view Trim(std::string_view text) {
  size_t start = text.size(), end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = FirstUtf8Char(text.substr(pos));
    const bool space =
        c.kind == Utf8Char::kWhole && (IsWhiteSpace(c.code) || (c.code >= 0x1C && c.code <= 0x1F));
    pos += c.length;
    if (space) continue;
    if (end == 0) start = pos - c.length;
    end = pos;
  }
  return end == 0 ? std::string_view() : text.substr(start, end - start);
}

}  // namespace hearth
