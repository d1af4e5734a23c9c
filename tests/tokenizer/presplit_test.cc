#include "engine/tokenizer/presplit.h"

#include <utf8proc.h>

#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/backtracking_regex.h"

namespace hearth {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string ToUtf8(const std::u32string& text) {
  std::string out;
  for (const char32_t c : text) {
    utf8proc_uint8_t bytes[4];
    const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
    out.append(bytes, bytes + length);
  }
  return out;
}

std::vector<std::string> Pieces(const char* name, std::string_view text) {
  const PreSplit split = *FindPreSplit(name);
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const size_t length = split.first_piece(text);
    EXPECT_GE(length, 1u);
    EXPECT_LE(length, text.size());
    pieces.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return pieces;
}

std::vector<std::string> ReferencePieces(const BacktrackingRegex& regex,
                                         const std::u32string& text) {
  std::vector<std::string> pieces;
  for (size_t pos = 0; pos < text.size();) {
    const size_t length = regex.Match(text, pos);
    pieces.push_back(ToUtf8(text.substr(pos, length)));
    pos += length;
  }
  return pieces;
}

struct Case {
  const char* name;
  std::string_view pattern;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class PreSplitTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(All, PreSplitTest,
                         ::testing::Values(Case{"gpt-4o", kO200k}, Case{"llama-bpe", kLlama3}),
                         [](const auto& param) {
                           return std::string_view(param.param.name) == "gpt-4o" ? "O200k"
                                                                                 : "Llama3";
                         });

// One character of every class the expressions tell apart, and those they name.
constexpr std::u32string_view kRepresentatives = U"AaǅʰЖ中\u03011\n\r \t!/'";

TEST_P(PreSplitTest, EqualsTheExpressionOnAllShortTexts) {
  const BacktrackingRegex regex(GetParam().pattern);
  std::vector<std::u32string> texts = {U""};
  for (size_t done = 0; texts.back().size() < 4; ++done) {
    const std::u32string text = texts[done];
    for (const char32_t c : kRepresentatives) {
      texts.push_back(text + c);
      const std::u32string& longer = texts.back();
      ASSERT_EQ(Pieces(GetParam().name, ToUtf8(longer)), ReferencePieces(regex, longer))
          << ToUtf8(longer);
    }
  }
}

TEST_P(PreSplitTest, EqualsTheExpressionOnRandomTexts) {
  const BacktrackingRegex regex(GetParam().pattern);
  constexpr std::u32string_view kEdges =
      U" \t\r\n\v\f\u0085\u00A0\u1680\u2003\u2028\u202F\u3000\u200B\uFEFF\u180E\u001C"
      U"'''sStTrReEvVmMlLdD\u017F\u2019//.!-_ aAzZ019½²Ⅷ٣İıßẞǅʰªﬀ中のあ안Σςà\u0301\u0308\u20DD"
      U"\u0903\u0E31\u1161\U00010400\U00010428\U0001F601\u200D\uFE0F";
  std::mt19937 random(20240601);
  const auto below = [&random](size_t n) { return random() % n; };
  for (int round = 0; round < 8000; ++round) {
    std::u32string text;
    for (size_t length = 1 + below(24); text.size() < length;) {
      if (below(8) == 0) {
        const char32_t c = static_cast<char32_t>(below(0x20000));
        text.push_back(c >= 0xD800 && c < 0xE000 ? U'x' : c);
      } else {
        text.push_back(kEdges[below(kEdges.size())]);
      }
    }
    ASSERT_EQ(Pieces(GetParam().name, ToUtf8(text)), ReferencePieces(regex, text)) << ToUtf8(text);
  }
}

// A scanner that backtracks character by character would not end within the time limit.
TEST_P(PreSplitTest, TakesLinearTimeOnMegabytes) {
  constexpr size_t kRepeats = 1 << 19;
  for (const std::string unit : {" ", "\n", "a", "A", "中", "1", "!", "'", "'s", " \n", "aA", "中A",
                                 "\u0301A", "!A", "\xF0"}) {
    std::string text;
    for (size_t i = 0; i < kRepeats; ++i) text += unit;
    size_t total = 0;
    for (const std::string& piece : Pieces(GetParam().name, text + "x")) total += piece.size();
    EXPECT_EQ(total, text.size() + 1) << unit;
  }
}

TEST_P(PreSplitTest, IllFormedBytesAreSymbols) {
  EXPECT_THAT(Pieces(GetParam().name, "a\xFF\xE4\xB8!b"), ElementsAre("a", "\xFF\xE4\xB8!", "b"));
  EXPECT_THAT(Pieces(GetParam().name, "\xC3"), ElementsAre("\xC3"));
}

TEST(PreSplit, O200kCases) {
  EXPECT_THAT(Pieces("gpt-4o", "I'll HTMLParser's/path//\n"),
              ElementsAre("I'll", " HTMLParser's", "/path", "//\n"));
  EXPECT_THAT(Pieces("gpt-4o", "fooBar BAZqux"), ElementsAre("foo", "Bar", " BAZqux"));
  EXPECT_THAT(Pieces("gpt-4o", "it'\u017Fa"), ElementsAre("it'\u017F", "a"));
  EXPECT_THAT(Pieces("gpt-4o", "  x   \n y"), ElementsAre(" ", " x", "   \n", " y"));
}

TEST(PreSplit, Llama3Cases) {
  EXPECT_THAT(Pieces("llama-bpe", "I'LL fooBar 12345"),
              ElementsAre("I", "'LL", " fooBar", " ", "123", "45"));
  EXPECT_THAT(Pieces("llama-bpe", "a//\n/"), ElementsAre("a", "//\n", "/"));
}

TEST(PreSplit, NamesAreRowsOfOneTable) {
  for (const char* name : {"o200k", "o200k_base"}) {
    EXPECT_EQ(FindPreSplit(name)->first_piece, FindPreSplit("gpt-4o")->first_piece);
    EXPECT_FALSE(FindPreSplit(name)->adds_bos);
  }
  for (const char* name : {"llama3", "llama-v3"}) {
    EXPECT_EQ(FindPreSplit(name)->first_piece, FindPreSplit("llama-bpe")->first_piece);
    EXPECT_TRUE(FindPreSplit(name)->adds_bos);
  }
}

TEST(PreSplit, UnknownNameListsTheKnown) {
  const auto found = FindPreSplit("qwen2");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(found.status().message()),
              AllOf(HasSubstr("'qwen2'"), HasSubstr("gpt-4o"), HasSubstr("llama-bpe")));
}

}  // namespace
}  // namespace hearth
