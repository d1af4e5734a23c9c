#include "engine/chat/tool_calls.h"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Result {
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;  // name and arguments
  bool broken = false;

  bool operator==(const Result& other) const {
    return text == other.text && calls == other.calls && broken == other.broken;
  }
};

void Add(const ToolCallOutput& output, Result& result) {
  result.text += output.text;
  for (const ToolCallPiece& piece : output.calls) {
    if (!piece.name.empty()) {
      EXPECT_EQ(piece.index, static_cast<int32_t>(result.calls.size()));
      result.calls.push_back({piece.name, ""});
    }
    ASSERT_EQ(piece.index + 1, static_cast<int32_t>(result.calls.size()));
    result.calls.back().second += piece.arguments;
  }
}

constexpr char kOpen[] = "<|tool_call|>";
constexpr char kClose[] = "<|/tool_call|>";

// Parts that are a marker stand for the token.
Result Parse(const std::vector<std::string>& parts) {
  ToolCallParser parser("functools");
  Result result;
  for (const std::string& part : parts) {
    Add(part == kOpen    ? parser.Open()
        : part == kClose ? parser.Close()
                         : parser.Push(part),
        result);
  }
  Add(parser.Finish(), result);
  result.broken = parser.broken();
  EXPECT_EQ(parser.calls(), static_cast<int32_t>(result.calls.size()));
  return result;
}

// Markers, and the text between them in parts of so many bytes as `length` says.
std::vector<std::string> Cut(std::string_view text, const std::function<size_t()>& length) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t size = 0;
    for (const std::string_view marker : {kOpen, kClose}) {
      if (text.substr(0, marker.size()) == marker) size = marker.size();
    }
    if (size == 0) size = std::min({length(), text.find(kOpen, 1), text.find(kClose, 1)});
    parts.emplace_back(text.substr(0, size));
    text.remove_prefix(parts.back().size());
  }
  return parts;
}

// As few parts as there can be, byte by byte, in parts of every length, and in random ones: always
// the same.
Result ParseAnyway(const std::string& text) {
  const Result whole = Parse(Cut(text, [&] { return text.size(); }));
  for (size_t length = 1; length < text.size(); ++length) {
    EXPECT_EQ(Parse(Cut(text, [&] { return length; })), whole) << text << " by " << length;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(Parse(Cut(text, [&] { return 1 + random() % 9; })), whole) << text;
  }
  return whole;
}

using Call = std::pair<std::string, std::string>;

TEST(ToolCallParserTest, PlainTextStaysText) {
  for (const char* text : {"", "hello", "functools", "functools (the module)", "functool[",
                           "<|tool", "a [1] {\"name\":\"x\"}", "funcfunctools"}) {
    const Result result = ParseAnyway(text);
    EXPECT_EQ(result.text, text);
    EXPECT_THAT(result.calls, IsEmpty());
    EXPECT_FALSE(result.broken);
  }
}

TEST(ToolCallParserTest, PlainForm) {
  const Result result = ParseAnyway(
      R"(functools[{"name": "get_weather", "arguments": {"city": "Oslo", "days": [1, [2, 3]]}}])");
  EXPECT_EQ(result.text, "");
  EXPECT_THAT(result.calls,
              ElementsAre(Call("get_weather", R"({"city": "Oslo", "days": [1, [2, 3]]})")));
  EXPECT_FALSE(result.broken);
}

TEST(ToolCallParserTest, MarkedForm) {
  const Result result = ParseAnyway(
      "I look. <|tool_call|>[{\"name\":\"f\",\"parameters\":{\"a\":\"]}\\\"[\"}}, "
      "{\"name\":\"g\",\"arguments\":{}}]<|/tool_call|>");
  EXPECT_EQ(result.text, "I look. ");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", R"({"a":"]}\"["})"), Call("g", "{}")));
  EXPECT_FALSE(result.broken);
}

TEST(ToolCallParserTest, ACallWithoutAList) {
  const Result result =
      ParseAnyway("<|tool_call|> {\"name\":\"f\",\"arguments\":{\"x\":[{}]}} <|/tool_call|>done");
  EXPECT_EQ(result.text, "done");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", R"({"x":[{}]})")));
}

TEST(ToolCallParserTest, SeveralListsWithTextAround) {
  const Result result = ParseAnyway(
      "a functools[{\"name\":\"f\",\"arguments\":{}}] b "
      "<|tool_call|>[{\"name\":\"g\",\"arguments\":{\"k\":null}}]<|/tool_call|> c");
  EXPECT_EQ(result.text, "a  b  c");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", "{}"), Call("g", R"({"k":null})")));
}

TEST(ToolCallParserTest, MembersInAnyOrder) {
  const Result result = ParseAnyway(
      R"(functools[{"id": [1,"}"], "arguments": {"a": 1}, "type": "x", "name": "f\u00e9\n", "n": 1.5}])");
  EXPECT_THAT(result.calls, ElementsAre(Call("f\u00e9\n", R"({"a": 1})")));
  EXPECT_FALSE(result.broken);
}

TEST(ToolCallParserTest, ACallWithoutArguments) {
  EXPECT_THAT(ParseAnyway(R"(functools[{"name": "f"}])").calls, ElementsAre(Call("f", "")));
}

// A client that got the first cannot be made to forget it.
TEST(ToolCallParserTest, TheFirstArgumentsCount) {
  for (const char* text : {R"(functools[{"name":"f","arguments":{"a":1},"parameters":{"b":2}}])",
                           R"(functools[{"parameters":{"a":1},"arguments":{"b":2},"name":"f"}])",
                           R"(functools[{"arguments":{"a":1},"name":"f","arguments":"x"}])"}) {
    EXPECT_THAT(ParseAnyway(text).calls, ElementsAre(Call("f", R"({"a":1})"))) << text;
  }
  EXPECT_THAT(
      ParseAnyway(R"(functools[{"name":"f","arguments":1},{"name":"g","parameters":2}])").calls,
      ElementsAre(Call("f", "1"), Call("g", "2")));
}

// What the grammar takes for text is text here, too: a call in it would be held to nothing.
TEST(ToolCallParserTest, AMarkerThatIsOnlySpeltIsText) {
  const std::string text = std::string(kOpen) + R"([{"name":"f","arguments":{}}])" + kClose;
  ToolCallParser parser("functools");
  Result result;
  for (const char c : text) Add(parser.Push(std::string_view(&c, 1)), result);
  Add(parser.Push(text), result);
  Add(parser.Finish(), result);
  EXPECT_EQ(result.text, text + text);
  EXPECT_EQ(parser.calls(), 0);
  EXPECT_FALSE(parser.broken());
}

TEST(ToolCallParserTest, WithoutAnOpeningOnlyMarkersOpenCalls) {
  ToolCallParser parser("");
  Result result;
  Add(parser.Push("functools[{}] []"), result);
  Add(parser.Open(), result);
  Add(parser.Push(R"([{"name":"f","arguments":{}}])"), result);
  Add(parser.Close(), result);
  EXPECT_EQ(result.text, "functools[{}] []");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", "{}")));
}

TEST(ToolCallParserTest, MarkersOutOfPlace) {
  EXPECT_EQ(ParseAnyway("a<|/tool_call|>b"), (Result{"ab", {}, false}));
  EXPECT_EQ(ParseAnyway("func<|tool_call|>x"), (Result{"funcx", {}, true}));
  EXPECT_EQ(ParseAnyway("<|tool_call|>[{\"na<|/tool_call|>"), (Result{"[{\"na", {}, true}));
  EXPECT_EQ(ParseAnyway("functools[{<|tool_call|>[{\"name\":\"f\",\"arguments\":{}}]"),
            (Result{"functools[{", {Call("f", "{}")}, true}));
  EXPECT_EQ(ParseAnyway("<|tool_call|>"), (Result{"", {}, true}));
}

TEST(ToolCallParserTest, ArgumentsComeAsTheyGrow) {
  ToolCallParser parser("functools");
  EXPECT_THAT(parser.Push(R"(functools[{"name": "f", "argu)").calls,
              ElementsAre(ToolCallPiece{0, "f", ""}));
  EXPECT_THAT(parser.Push(R"(ments": {"a)").calls, ElementsAre(ToolCallPiece{0, "", "{\"a"}));
  EXPECT_THAT(parser.Push("\": 1").calls, ElementsAre(ToolCallPiece{0, "", "\": 1"}));
  EXPECT_THAT(parser.Push("}").calls, ElementsAre(ToolCallPiece{0, "", "}"}));
  EXPECT_THAT(parser.Push("}, ").calls, IsEmpty());
}

TEST(ToolCallParserTest, TextComesAsSoonAsItIsNoOpening) {
  ToolCallParser parser("functools");
  EXPECT_EQ(parser.Push("some func").text, "some ");
  EXPECT_EQ(parser.Push("tion").text, "function");
  EXPECT_EQ(parser.Push("f").text, "");
  EXPECT_EQ(parser.Push("ff").text, "ff");
  EXPECT_EQ(parser.Open().text, "f");
}

TEST(ToolCallParserTest, WhatIsNoCallIsText) {
  for (const char* text : {"functools[1, 2]", "functools[]", "functools[\"x\"]", "functools[{1}]",
                           "functools[{\"arguments\":{}}]", "functools[{\"name\":1}]",
                           "functools[{\"name\" \"f\"}]"}) {
    const Result result = ParseAnyway(text);
    EXPECT_EQ(result.text, text);
    EXPECT_THAT(result.calls, IsEmpty());
    EXPECT_TRUE(result.broken);
  }
}

TEST(ToolCallParserTest, CutOffWithinACall) {
  const Result result = ParseAnyway(R"(functools[{"name":"f","arguments":{"a":[1,)");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", R"({"a":[1,)")));
  EXPECT_TRUE(result.broken);
  EXPECT_EQ(ParseAnyway(R"(functools[{"na)").text, "");
  EXPECT_EQ(ParseAnyway("functools").text, "functools");
  EXPECT_FALSE(ParseAnyway(R"(<|tool_call|>[{"name":"f","arguments":{}}])").broken);
}

TEST(ToolCallParserTest, WhiteSpaceOfAListThatIsCutOffIsNoText) {
  const Result result = ParseAnyway("functools[{\"name\":\"f\",\"arguments\":{}} \n\t");
  EXPECT_EQ(result.text, "");
  EXPECT_THAT(result.calls, ElementsAre(Call("f", "{}")));
  EXPECT_TRUE(result.broken);
}

TEST(ToolCallParserTest, AnyBytesInAnyParts) {
  const std::vector<std::string> words = {"functools[",
                                          "<|tool_call|>",
                                          "<|/tool_call|>",
                                          "[",
                                          "]",
                                          "{",
                                          "}",
                                          "\"name\"",
                                          ":",
                                          "\"f\"",
                                          ",",
                                          "\"arguments\"",
                                          " ",
                                          "\\",
                                          "\"",
                                          "x",
                                          "\xff",
                                          "1"};
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += words[random() % words.size()];
    ParseAnyway(text);
  }
}

}  // namespace
}  // namespace hearth
