#include "engine/tokenizer/unicode.h"

#include <utf8proc.h>

#include "gtest/gtest.h"

namespace hearth {
namespace {

TEST(Utf8, EveryCharacterIsWhole) {
  for (utf8proc_int32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    utf8proc_uint8_t bytes[4];
    const auto length = utf8proc_encode_char(code, bytes);
    const std::string_view text(reinterpret_cast<const char*>(bytes), length);
    const Utf8Char c = FirstUtf8Char(text);
    ASSERT_EQ(c.kind, Utf8Char::kWhole) << code;
    ASSERT_EQ(c.code, static_cast<char32_t>(code));
    ASSERT_EQ(c.length, static_cast<uint32_t>(length));
    for (int cut = 1; cut < length; ++cut) {
      const Utf8Char part = FirstUtf8Char(text.substr(0, cut));
      ASSERT_EQ(part.kind, Utf8Char::kTruncated) << code;
      ASSERT_EQ(part.length, static_cast<uint32_t>(cut));
    }
  }
}

struct IllFormed {
  std::string_view text;
  uint32_t length;
};

TEST(Utf8, IllFormedIsCutIntoMaximalSubparts) {
  for (const IllFormed& c : {
           IllFormed{"\x80", 1},              // a lone trailing byte
           IllFormed{"\xC0\x80", 1},          // overlong
           IllFormed{"\xE0\x80\x80", 1},      // overlong
           IllFormed{"\xF0\x8F\xBF\xBF", 1},  // overlong
           IllFormed{"\xED\xA0\x80", 1},      // surrogate
           IllFormed{"\xF4\x90\x80\x80", 1},  // above U+10FFFF
           IllFormed{"\xF5\x80\x80\x80", 1},  // no lead byte
           IllFormed{"\xC3(", 1},             //
           IllFormed{"\xE4\xB8(", 2},         //
           IllFormed{"\xF0\x9F\x98(", 3},     //
       }) {
    const Utf8Char got = FirstUtf8Char(c.text);
    EXPECT_EQ(got.kind, Utf8Char::kInvalid);
    EXPECT_EQ(got.length, c.length);
  }
}

TEST(Unicode, WhiteSpaceIsTheProperty) {
  int count = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (!IsWhiteSpace(c)) continue;
    ++count;
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    EXPECT_TRUE(category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
                category == UTF8PROC_CATEGORY_ZP || category == UTF8PROC_CATEGORY_CC)
        << static_cast<uint32_t>(c);
  }
  EXPECT_EQ(count, 25);  // PropList.txt: "Total code points: 25"
}

}  // namespace
}  // namespace hearth
