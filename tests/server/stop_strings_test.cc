#include "server/stop_strings.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace hearth::server {
namespace {

// What a client sees when the text arrives in these pieces.
std::string Shown(const std::vector<std::string>& stops, const std::vector<std::string>& pieces,
                  bool* matched = nullptr) {
  StopStrings stop_strings(stops);
  std::string shown;
  for (const std::string& piece : pieces) shown += stop_strings.Push(piece);
  if (!stop_strings.matched()) shown += stop_strings.Flush();
  if (matched) *matched = stop_strings.matched().has_value();
  return shown;
}

TEST(StopStrings, WithoutStopsTextPassesAtOnce) {
  StopStrings none({});
  EXPECT_EQ(none.Push("abc"), "abc");
  EXPECT_FALSE(none.matched());
}

TEST(StopStrings, P23_SplitAcrossPiecesIsFoundAndNotLeaked) {
  bool matched = false;
  EXPECT_EQ(Shown({"END"}, {"one E", "N", "D two"}, &matched), "one ");
  EXPECT_TRUE(matched);
}

TEST(StopStrings, P23_SplitInsideACharacterIsFound) {
  bool matched = false;
  EXPECT_EQ(Shown({"\xE2\x82\xAC"}, {"5 \xE2", "\x82", "\xAC more"}, &matched), "5 ");
  EXPECT_TRUE(matched);
}

TEST(StopStrings, HoldsBackNoMoreThanCouldMatch) {
  StopStrings stop({"abcd"});
  EXPECT_EQ(stop.Push("xxab"), "xx");
  EXPECT_EQ(stop.Push("y"), "aby");
  EXPECT_EQ(stop.Push("abc"), "");
  EXPECT_EQ(stop.Flush(), "abc");
}

TEST(StopStrings, TheEarliestOfSeveralWins) {
  EXPECT_EQ(Shown({"three", "two"}, {"one two three"}), "one ");
}

TEST(StopStrings, AfterAMatchNothingIsShown) {
  StopStrings stop({"."});
  EXPECT_EQ(stop.Push("a.b"), "a");
  EXPECT_EQ(stop.Push("c"), "");
  EXPECT_EQ(stop.Flush(), "");
}

TEST(StopStrings, AnySplitShowsTheTextBeforeTheFirstStop) {
  std::mt19937 random(1);
  const std::vector<std::string> stops = {"aab", "ba", "abab"};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = random() % 14; i > 0; --i) text += "abc"[random() % 3];
    size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + random() % 3;
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    bool matched = false;
    const std::string shown = Shown(stops, pieces, &matched);
    ASSERT_EQ(matched, first != std::string::npos) << text;
    // A stop that completes in an earlier piece cuts there, even if one that begins earlier
    // would have completed later; nothing of a completed stop is ever shown.
    if (!matched) {
      ASSERT_EQ(shown, text);
    } else {
      ASSERT_EQ(shown, text.substr(0, shown.size()));
      ASSERT_GE(shown.size(), first);
      for (const std::string& stop : stops) ASSERT_EQ(shown.find(stop), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace hearth::server
