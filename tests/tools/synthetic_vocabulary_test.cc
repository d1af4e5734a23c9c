#include "tests/tools/synthetic_vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace hearth {
namespace {

TEST(SyntheticVocabularyTest, HasBytesMergesAndMarkers) {
  const Vocabulary v = SyntheticVocabulary();
  EXPECT_EQ(v.tokens.size(), 1024u);
  EXPECT_EQ(v.types.size(), v.tokens.size());
  EXPECT_EQ(v.tokens['A'], "A");
  EXPECT_EQ(v.tokens[' '], "\u0120");
  EXPECT_EQ(v.tokens['\n'], "\u010a");
  EXPECT_EQ(v.tokens[0xad], "\u0143");
  EXPECT_EQ(v.tokens[0xff], "\u00ff");
  EXPECT_EQ(v.tokens[v.eos], "<|endoftext|>");
  EXPECT_EQ(std::count(v.types.begin(), v.types.end(), TokenType::kControl), 7);
  EXPECT_EQ(std::count(v.types.begin(), v.types.end(), TokenType::kUserDefined), 5);
}

TEST(SyntheticVocabularyTest, TokensAreUniqueAndMergesSpellTokens) {
  const Vocabulary v = SyntheticVocabulary();
  const std::set<std::string> tokens(v.tokens.begin(), v.tokens.end());
  EXPECT_EQ(tokens.size(), v.tokens.size());
  const std::set<std::string> merges(v.merges.begin(), v.merges.end());
  EXPECT_EQ(merges.size(), v.merges.size());
  for (const std::string& merge : v.merges) {
    const size_t space = merge.find(' ');
    ASSERT_NE(space, std::string::npos) << merge;
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    EXPECT_TRUE(tokens.contains(left) && tokens.contains(right)) << merge;
    EXPECT_TRUE(tokens.contains(left + right)) << merge;
  }
}

TEST(SyntheticVocabularyTest, IsAlwaysTheSame) {
  const Vocabulary a = SyntheticVocabulary(), b = SyntheticVocabulary();
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.merges, b.merges);
}

}  // namespace
}  // namespace hearth
