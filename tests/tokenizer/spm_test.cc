#include <string>
#include <utility>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Tokenizer> Make(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<std::string> Tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const TokenId id : tokenizer.Encode(text)) tokens.emplace_back(tokenizer.Spelling(id));
  return tokens;
}

Vocabulary Letters() {
  return SmallSpm({{"▁", -10},
                   {"a", -11},
                   {"b", -12},
                   {"c", -13},
                   {"ab", -3},
                   {"bc", -2},
                   {"▁a", -4},
                   {"aa", -5}});
}

TEST(Spm, MergesByScoreLeftmostFirst) {
  Vocabulary vocabulary = Letters();
  vocabulary.add_space_prefix = false;
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_THAT(Tokens(*tokenizer, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(Tokens(*tokenizer, "aaaaa"), ElementsAre("aa", "aa", "a"));
  EXPECT_THAT(Tokens(*tokenizer, "a a"), ElementsAre("a", "▁a"));
  EXPECT_FALSE(tokenizer->leading_space());
}

TEST(Spm, EqualScoresGoLeftmostFirst) {
  Vocabulary vocabulary = SmallSpm({{"a", 0}, {"b", 0}, {"ab", 0}, {"ba", 0}});
  vocabulary.add_space_prefix = false;
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_THAT(Tokens(*tokenizer, "aba"), ElementsAre("ab", "a"));
  EXPECT_THAT(Tokens(*tokenizer, "bab"), ElementsAre("ba", "b"));
}

TEST(Spm, ASpaceIsPutBeforeTheText) {
  const auto tokenizer = Make(Letters());
  EXPECT_TRUE(tokenizer->leading_space());
  EXPECT_THAT(Tokens(*tokenizer, "a"), ElementsAre("▁a"));
  EXPECT_THAT(Tokens(*tokenizer, " a"), ElementsAre("▁", "▁a"));
  EXPECT_THAT(Tokens(*tokenizer, ""), ElementsAre());
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a b")), " a b");
}

TEST(Spm, WhatIsNoTokenBecomesItsBytes) {
  const auto tokenizer = Make(Letters());
  EXPECT_THAT(Tokens(*tokenizer, "\u00E9"), ElementsAre("▁", "<0xC3>", "<0xA9>"));
  EXPECT_THAT(Tokens(*tokenizer, "\xFF"), ElementsAre("▁", "<0xFF>"));
  const std::string bytes("\x00\xC3x\xF0\x9F", 5);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(bytes)), " " + bytes);
}

TEST(Spm, WithoutItsBytesACharacterIsUnknown) {
  Vocabulary vocabulary = Letters();
  vocabulary.types[3 + 0xC3] = TokenType::kUnused;
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_THAT(Tokens(*tokenizer, "\u00E9"), ElementsAre("▁", "<unk>"));
  EXPECT_EQ(tokenizer->Bytes(0), "\uFFFD");
}

TEST(Spm, PartsNeedNotBeTokens) {
  Vocabulary vocabulary = SmallSpm({{"xy", -1}});
  vocabulary.add_space_prefix = false;
  EXPECT_THAT(Tokens(*Make(std::move(vocabulary)), "xyx"), ElementsAre("xy", "<0x78>"));
}

// As in Gemma, whose vocabulary holds runs of newlines and spaces as user-defined tokens.
TEST(Spm, UserDefinedRunsOfWhiteSpaceAreTextAndTakenWhole) {
  Vocabulary vocabulary = Letters();
  vocabulary.add_space_prefix = false;
  for (const char* run : {"\n", "\n\n", "▁▁"}) {
    vocabulary.tokens.push_back(run);
    vocabulary.types.push_back(TokenType::kUserDefined);
    vocabulary.scores.push_back(-1000);
  }
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_THAT(Tokens(*tokenizer, "a\n\n\nbc"), ElementsAre("a", "\n\n", "\n", "bc"));
  EXPECT_THAT(Tokens(*tokenizer, "   a"), ElementsAre("▁▁", "▁a"));  // before any merge
  EXPECT_THAT(Tokens(*tokenizer, "\n\n"), ElementsAre("\n\n"));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("  a\nb\n\n\n")), "  a\nb\n\n\n");
  EXPECT_FALSE(tokenizer->Marker("\n\n").has_value());
}

// Text longer than one chain is cut where a word ends, so the ids are the same.
TEST(Spm, LongTextIsThatOfItsWords) {
  const auto tokenizer = Make(Letters());
  std::string text = "abc";
  std::vector<TokenId> expected = tokenizer->Encode(text);
  const std::vector<TokenId> word = tokenizer->Encode("aabbc");  // begins with a space of its own
  while (text.size() < 300'000) {
    text += " aabbc";
    expected.insert(expected.end(), word.begin(), word.end());
  }
  EXPECT_EQ(tokenizer->Encode(text), expected);
  const std::vector<TokenId> some = tokenizer->Encode(text, 1000);
  EXPECT_GT(some.size(), 1000u);
  EXPECT_LT(some.size(), expected.size());
}

// Quadratic merging would not end within the time limit.
TEST(Spm, MegabyteOfOneLetterTakesNoLongerThanItMust) {
  Vocabulary vocabulary = SmallSpm({{"a", -3}, {"aa", -1}, {"aaaa", -2}});
  vocabulary.add_space_prefix = false;
  EXPECT_EQ(Make(std::move(vocabulary))->Encode(std::string(1 << 20, 'a')).size(), 1u << 18);
}

}  // namespace
}  // namespace hearth
