#include <algorithm>
#include <map>
#include <random>
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

using Merges = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<Tokenizer> Make(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<std::string> Tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const TokenId id : tokenizer.Encode(text)) tokens.emplace_back(tokenizer.Bytes(id));
  return tokens;
}

// The definition: while any merge applies, apply the best one at its leftmost place.
std::vector<std::string> NaiveTokens(const Merges& merges, std::string_view piece) {
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t rank = 0; rank < merges.size(); ++rank) ranks.try_emplace(merges[rank], rank);
  std::vector<std::string> tokens;
  for (const char c : piece) tokens.emplace_back(1, c);
  for (;;) {
    size_t best = merges.size(), at = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto it = ranks.find({tokens[i], tokens[i + 1]});
      if (it != ranks.end() && it->second < best) best = it->second, at = i;
    }
    if (best == merges.size()) return tokens;
    tokens[at] += tokens[at + 1];
    tokens.erase(tokens.begin() + at + 1);
  }
}

TEST(Bpe, MergesByRankLeftmostFirst) {
  const auto tokenizer = Make(SmallBpe({{"b", "c"}, {"a", "b"}, {"a", "a"}}));
  EXPECT_THAT(Tokens(*tokenizer, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(Tokens(*tokenizer, "aaaaa"), ElementsAre("aa", "aa", "a"));
}

TEST(Bpe, PieceThatIsATokenIsThatToken) {
  Vocabulary vocabulary = SmallBpe({{"a", "b"}, {"c", "d"}});
  vocabulary.tokens.push_back("abcd");  // no merge makes it
  vocabulary.types.push_back(TokenType::kNormal);
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_THAT(Tokens(*tokenizer, "abcd"), ElementsAre("abcd"));
  EXPECT_THAT(Tokens(*tokenizer, "abcda"), ElementsAre("ab", "cd", "a"));
}

TEST(Bpe, MergesDoNotCrossPieces) {
  const auto tokenizer = Make(SmallBpe({{"a", "."}, {".", "a"}, {"1", "2"}, {"3", "4"}}));
  EXPECT_THAT(Tokens(*tokenizer, "a."), ElementsAre("a", "."));
  EXPECT_THAT(Tokens(*tokenizer, "1234"), ElementsAre("12", "3", "4"));
}

TEST(Bpe, EqualsTheDefinitionOnRandomVocabularies) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> parts = {"a", "b", "c"};
    Merges merges;
    for (int i = 0; i < 25; ++i) {
      const std::string left = parts[random() % parts.size()];
      const std::string right = parts[random() % parts.size()];
      if (left.size() + right.size() > 12) continue;
      merges.emplace_back(left, right);
      parts.push_back(left + right);
    }
    std::shuffle(merges.begin(), merges.end(), random);  // ranks need not be in order of making
    const auto tokenizer = Make(SmallBpe(merges));
    for (int sample = 0; sample < 60; ++sample) {
      std::string text(13 + random() % 60, 'a');  // longer than any token
      for (char& c : text) c = static_cast<char>('a' + random() % 3);
      ASSERT_EQ(Tokens(*tokenizer, text), NaiveTokens(merges, text)) << text;
    }
  }
}

TEST(Bpe, DecodeOfEncodeIsTheTextForAnyBytes) {
  const auto tokenizer = Make(SmallBpe({{"a", "b"}, {" ", "a"}, {"\xC3", "\xA9"}, {"\n", "\n"}}));
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) {
      c = random() % 2 == 0 ? "ab \n\xC3\xA9'1"[random() % 8] : static_cast<char>(random());
    }
    ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
  }
  EXPECT_TRUE(tokenizer->Encode("").empty());
}

// Quadratic merging would not end within the time limit.
TEST(Bpe, MegabyteOfOneLetterTakesNoLongerThanItMust) {
  const auto tokenizer = Make(SmallBpe({{"a", "a"}, {"aa", "aa"}}));
  EXPECT_EQ(tokenizer->Encode(std::string(1 << 20, 'a')).size(), size_t{1} << 18);
}

TEST(Bpe, StopsOnceThereIsEnough) {
  const auto tokenizer = Make(SmallBpe({{"a", "b"}}));
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "ab ";
  const std::vector<TokenId> all = tokenizer->Encode(text);
  const std::vector<TokenId> some = tokenizer->Encode(text, 100);
  ASSERT_GT(some.size(), 100u);
  EXPECT_LT(some.size(), 110u);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
  EXPECT_EQ(tokenizer->Encode(text, all.size()), all);
}

TEST(Bpe, BytesOfTokens) {
  Vocabulary vocabulary = SmallBpe({{" ", "a"}}, {"<|end|>"});
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"<|tool|>", "[PAD]", "<unk>"});
  vocabulary.types.insert(vocabulary.types.end(),
                          {TokenType::kUserDefined, TokenType::kUnused, TokenType::kUnknown});
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_EQ(tokenizer->Bytes(0), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer->Bytes(' '), " ");
  EXPECT_EQ(tokenizer->Bytes(0xAD), "\xAD");
  EXPECT_EQ(tokenizer->Bytes(256), " a");
  EXPECT_EQ(tokenizer->Spelling(256), "\u0120a");
  EXPECT_EQ(tokenizer->Bytes(257), "");          // control
  EXPECT_EQ(tokenizer->Bytes(258), "<|tool|>");  // user-defined
  EXPECT_EQ(tokenizer->Bytes(259), "");          // unused
  EXPECT_EQ(tokenizer->Bytes(260), "\uFFFD");    // unknown
  EXPECT_EQ(tokenizer->Decode({'h', 'i', 257, 256}), "hi a");
}

}  // namespace
}  // namespace hearth
