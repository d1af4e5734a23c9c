#include "engine/constrain/char_set.h"

#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;

TEST(CharSetTest, JoinsRangesThatTouch) {
  CharSet set = {{'c', 'd'}, {'x', 'z'}};
  set.Add('e', 'f');
  set.Add('a', 'a');
  EXPECT_THAT(set.ranges(),
              ElementsAre(CharRange{'a', 'a'}, CharRange{'c', 'f'}, CharRange{'x', 'z'}));
  set.Add('b', 'y');
  EXPECT_THAT(set.ranges(), ElementsAre(CharRange{'a', 'z'}));
}

TEST(CharSetTest, NeverHoldsSurrogates) {
  CharSet set;
  set.Add(0, kLastChar);
  EXPECT_THAT(set.ranges(), ElementsAre(CharRange{0, 0xD7FF}, CharRange{0xE000, kLastChar}));
  EXPECT_TRUE(set.Complement().ranges().empty());
  EXPECT_EQ(CharSet().Complement().ranges(), set.ranges());
  CharSet only;
  only.Add(0xD900, 0xDA00);
  EXPECT_TRUE(only.ranges().empty());
}

TEST(CharSetTest, AgreesWithASet) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    CharSet set;
    std::set<char32_t> reference;
    for (int i = 0; i < 8; ++i) {
      const char32_t low = random() % 60, high = low + random() % 8;
      set.Add(low, high);
      for (char32_t c = low; c <= high; ++c) reference.insert(c);
    }
    const CharSet complement = set.Complement();
    for (char32_t c = 0; c < 80; ++c) {
      ASSERT_EQ(set.Contains(c), reference.count(c) == 1);
      ASSERT_NE(complement.Contains(c), set.Contains(c));
    }
    ASSERT_EQ(complement.Complement().ranges(), set.ranges());
  }
}

TEST(CharSetTest, KnowsCategories) {
  const auto upper = FindCharCategory("Lu");
  ASSERT_TRUE(upper.has_value());
  EXPECT_TRUE(upper->Contains('A'));
  EXPECT_TRUE(upper->Contains(0x0416));
  EXPECT_FALSE(upper->Contains('a'));
  EXPECT_EQ(FindCharCategory("gc=Uppercase_Letter")->ranges(), upper->ranges());
  EXPECT_TRUE(FindCharCategory("N")->Contains(0x0663));
  EXPECT_FALSE(FindCharCategory("Script=Greek").has_value());
}

TEST(CharSetTest, ClassesGrow) {
  for (int k = 0; k + 1 < kCharClasses; ++k) {
    for (const CharRange& range : CharsOf(static_cast<CharClass>(k)).ranges()) {
      for (char32_t c = range.low; c <= range.high; ++c) {
        ASSERT_TRUE(CharsOf(static_cast<CharClass>(k + 1)).Contains(c));
      }
    }
  }
  for (const char32_t c : {U'"', U'\\', U'\n', char32_t{0x1F}}) {
    EXPECT_FALSE(CharsOf(kText).Contains(c));
  }
}

TEST(CharSetTest, RangesComeInAnyOrder) {
  std::vector<CharRange> ranges;
  CharSet expected;
  for (char32_t code = 0; code < 250'000; code += 2) expected.Add(code, code);
  for (char32_t code = 250'000; code >= 2; code -= 2) ranges.push_back({code - 2, code - 2});
  EXPECT_EQ(CharSet::Of(ranges).ranges(), expected.ranges());
  EXPECT_EQ(CharSet::Of({{5, 9}, {0, 3}, {4, 4}, {20, 30}, {22, 24}}).ranges(),
            (std::vector<CharRange>{{0, 9}, {20, 30}}));
}

}  // namespace
}  // namespace hearth
