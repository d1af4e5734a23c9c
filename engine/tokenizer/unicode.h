// Unicode as tokenizers need it: UTF-8 one character at a time, and white space.
#ifndef HEARTH_ENGINE_TOKENIZER_UNICODE_H_
#define HEARTH_ENGINE_TOKENIZER_UNICODE_H_

#include <cstdint>
#include <string_view>

namespace hearth {

struct Utf8Char {
  enum Kind : uint8_t {
    kWhole,
    kInvalid,    // a maximal ill-formed subpart (Unicode 15, 3.9, table 3-7)
    kTruncated,  // the text ends within what may still become a character
  };
  char32_t code;    // meaningful for kWhole
  uint32_t length;  // bytes; at least 1
  Kind kind;
};

// FirstUtf8Char of a text that does not begin with ASCII.
Utf8Char FirstLongUtf8Char(std::string_view text);

// The first character of `text`. REQUIRES: text is not empty.
inline Utf8Char FirstUtf8Char(std::string_view text) {
  const uint8_t first = static_cast<uint8_t>(text[0]);
  return first < 0x80 ? Utf8Char{first, 1, Utf8Char::kWhole} : FirstLongUtf8Char(text);
}

// Whether `text` is whole, well-formed characters.
bool IsWholeUtf8(std::string_view text);

// The property White_Space, which is \s of Unicode regular expressions.
bool IsWhiteSpace(char32_t code);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_UNICODE_H_
