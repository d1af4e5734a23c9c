#include "engine/constrain/terminal.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/constrain/regex.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

SharedText Pattern(const std::string& pattern) {
  CompileBudget budget;
  return *CompileRegex(pattern, RegexMatch::kWhole, budget);
}

SharedText Any(uint32_t min = 0, uint32_t max = TextDfa::kUnbounded) {
  return std::make_shared<const TextDfa>(TextDfa::AnyText(min, max));
}

enum class Outcome { kDead, kOpen, kWhole };

Outcome Read(const Terminal& terminal, const std::string& bytes) {
  Terminal::State state = terminal.start();
  for (size_t i = 0; i < bytes.size(); ++i) {
    switch (terminal.Advance(state, static_cast<uint8_t>(bytes[i]))) {
      case Terminal::Step::kDead:
        return Outcome::kDead;
      case Terminal::Step::kClosed:
        return i + 1 == bytes.size() ? Outcome::kWhole : Outcome::kDead;
      case Terminal::Step::kAlive:
        break;
    }
  }
  return terminal.Accepts(state) ? Outcome::kWhole : Outcome::kOpen;
}

// What the JSON library makes of it; nothing where it is no string.
std::optional<std::string> Decoded(const std::string& json) {
  const auto value = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

// All byte strings over a nasty alphabet, up to a length, after an opening quote. So what has a
// whole continuation is not dead either.
void ExpectAsJson(const SharedText& text, const std::string& alphabet, size_t length,
                  const std::string& bytes = "\"") {
  const Terminal terminal(text, Spelling::kJsonString);
  const auto decoded = Decoded(bytes);
  const bool whole = decoded && text->AcceptsText(*decoded);
  ASSERT_EQ(Read(terminal, bytes) == Outcome::kWhole, whole) << bytes;
  if (length == 0) return;
  for (const char c : alphabet) ExpectAsJson(text, alphabet, length - 1, bytes + c);
}

TEST(TerminalTest, AnyStringIsSpeltAnyWay) {
  ExpectAsJson(Any(), "\\\"u0n\x1f", 7);
  ExpectAsJson(Any(), "\\ud8cDC3\"", 6);
  ExpectAsJson(Any(1, 2), "\xC3\xA9\xE2\x80\xF0\x9F\"", 6);
}

TEST(TerminalTest, PatternsHoldForTheDecodedText) {
  ExpectAsJson(Pattern("[\\u0030-\\u003f]"), "\\u0\"3f", 7);
  ExpectAsJson(Pattern("\\n|\\u00e9"), "\\u0e9\"\xC3\xA9", 7);
  ExpectAsJson(Pattern("\\u{1F600}|\\/"), "\\u/\"\xF0\x9F\x98\x80", 6);
}

TEST(TerminalTest, SurrogatesComeInPairs) {
  const Terminal any(Any(), Spelling::kJsonString);
  EXPECT_EQ(Read(any, "\"\\ud83d\\ude00\""), Outcome::kWhole);
  EXPECT_EQ(Read(any, "\"\\uD83D\\uDE00\""), Outcome::kWhole);
  for (const char* dead : {"\"\\ud83d\"", "\"\\ud83dx", "\"\\ud83d\\n", "\"\\ud83d\\u0",
                           "\"\\ude00", "\"\\udc", "\"\\ud83d\\ud8"}) {
    EXPECT_EQ(Read(any, dead), Outcome::kDead) << dead;
  }
  // A pair counts as one character.
  const Terminal one(Any(1, 1), Spelling::kJsonString);
  EXPECT_EQ(Read(one, "\"\\ud83d\\ude00\""), Outcome::kWhole);
  EXPECT_EQ(Read(one, "\"\\ud83d\\ude00x"), Outcome::kDead);
}

TEST(TerminalTest, PartsOfCharactersAreDeadWhereNoneFits) {
  const Terminal smile(Pattern("\\u{1F600}"), Spelling::kJsonString);
  for (const char* open :
       {"\"\xF0", "\"\xF0\x9F\x98", "\"\\", "\"\\ud", "\"\\uD83D", "\"\\ud83d\\ude"}) {
    EXPECT_EQ(Read(smile, open), Outcome::kOpen) << open;
  }
  for (const char* dead : {"\"\xF1", "\"\xF0\x9E", "\"\xF0\x9F\x97", "\"\xE2", "\"\\n", "\"\\u0",
                           "\"\\ud7", "\"\\ud83c", "\"\\ud83d\\udd", "\"a"}) {
    EXPECT_EQ(Read(smile, dead), Outcome::kDead) << dead;
  }
}

TEST(TerminalTest, RawTextIsUtf8) {
  const Terminal any(Any(), Spelling::kUtf8);
  EXPECT_EQ(Read(any, ""), Outcome::kWhole);
  EXPECT_EQ(Read(any, "a\"\\\n"), Outcome::kWhole);
  EXPECT_EQ(Read(any, "\xC3"), Outcome::kOpen);
  EXPECT_EQ(Read(any, "\xC3\xA9"), Outcome::kWhole);
  for (const char* dead : {"\xFF", "\xC0\x80", "\xC1", "\xE0\x80", "\xED\xA0", "\xF4\x90", "\xF5",
                           "\x80", "\xC3(", "\xE2\x82x"}) {
    EXPECT_EQ(Read(any, dead), Outcome::kDead) << dead;
  }
}

}  // namespace
}  // namespace hearth
