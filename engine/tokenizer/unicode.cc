#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// What may follow a lead byte: how many bytes, and the range of the first of them. The later
// ones are 80..BF. (Unicode 15, table 3-7.)
struct Lead {
  uint32_t trailing;  // 0: not a lead byte
  uint8_t low, high;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
  if (byte < 0xE0) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};  // no overlong forms
  if (byte == 0xED) return {2, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};  // no overlong forms
  if (byte == 0xF4) return {3, 0x80, 0x8F};  // nothing above U+10FFFF
  return {3, 0x80, 0xBF};
}

}  // namespace

Utf8Char FirstLongUtf8Char(std::string_view text) {
  const uint8_t first = static_cast<uint8_t>(text[0]);
  const Lead lead = LeadOf(first);
  if (lead.trailing == 0) return {0, 1, Utf8Char::kInvalid};
  char32_t code = first & (0x3Fu >> lead.trailing);
  for (uint32_t i = 1; i <= lead.trailing; ++i) {
    if (i == text.size()) return {0, i, Utf8Char::kTruncated};
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {0, i, Utf8Char::kInvalid};
    code = (code << 6) | (byte & 0x3F);
  }
  return {code, lead.trailing + 1, Utf8Char::kWhole};
}

bool IsWholeUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = FirstUtf8Char(text);
    if (c.kind != Utf8Char::kWhole) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

bool IsWhiteSpace(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 0x09 && code <= 0x0D);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

}  // namespace hearth
