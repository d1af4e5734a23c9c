#include "engine/chat/tool_calls.h"

#include <random>
#include <string>
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

Result Parse(const std::vector<std::string>& parts) {
  ToolCallParser parser;
  Result result;
  for (const std::string& part : parts) Add(parser.Push(part), result);
  Add(parser.Finish(), result);
  result.broken = parser.broken();
  EXPECT_EQ(parser.calls(), static_cast<int32_t>(result.calls.size()));
  return result;
}

// Whole, byte by byte, in two at every place, and in random parts: always the same.
Result ParseAnyway(const std::string& text) {
  const Result whole = Parse({text});
  std::vector<std::string> bytes;
  for (const char c : text) bytes.push_back(std::string(1, c));
  EXPECT_EQ(Parse(bytes), whole) << text;
  for (size_t i = 0; i <= text.size(); ++i) {
    EXPECT_EQ(Parse({text.substr(0, i), text.substr(i)}), whole) << text << " at " << i;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < text.size();) {
      const size_t length = 1 + random() % 9;
      parts.push_back(text.substr(i, length));
      i += length;
    }
    EXPECT_EQ(Parse(parts), whole) << text;
  }
  return whole;
}

using Call = std::pair<std::string, std::string>;

TEST(ToolCallParserTest, PlainTextStaysText) {
  for (const char* text : {"", "hello", "functools", "functools (the module)", "functool[",
                           "<|tool", "a [1] {\"name\":\"x\"}", "funcfunctools", "<|/tool_call|>"}) {
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

TEST(ToolCallParserTest, ArgumentsComeAsTheyGrow) {
  ToolCallParser parser;
  EXPECT_THAT(parser.Push(R"(functools[{"name": "f", "argu)").calls,
              ElementsAre(ToolCallPiece{0, "f", ""}));
  EXPECT_THAT(parser.Push(R"(ments": {"a)").calls, ElementsAre(ToolCallPiece{0, "", "{\"a"}));
  EXPECT_THAT(parser.Push("\": 1").calls, ElementsAre(ToolCallPiece{0, "", "\": 1"}));
  EXPECT_THAT(parser.Push("}").calls, ElementsAre(ToolCallPiece{0, "", "}"}));
  EXPECT_THAT(parser.Push("}, ").calls, IsEmpty());
}

TEST(ToolCallParserTest, TextComesAsSoonAsItIsNoOpening) {
  ToolCallParser parser;
  EXPECT_EQ(parser.Push("some func").text, "some ");
  EXPECT_EQ(parser.Push("tion").text, "function");
  EXPECT_EQ(parser.Push("<|").text, "");
  EXPECT_EQ(parser.Push("x").text, "<|x");
}

TEST(ToolCallParserTest, WhatIsNoCallIsText) {
  for (const char* text : {"functools[1, 2]", "functools[]", "functools[\"x\"]", "functools[{1}]",
                           "functools[{\"arguments\":{}}]", "functools[{\"name\":1}]",
                           "<|tool_call|>hello", "functools[{\"name\" \"f\"}]"}) {
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
  EXPECT_EQ(ParseAnyway(R"(functools[{"na)").text, R"(functools[{"na)");
  EXPECT_FALSE(ParseAnyway(R"(<|tool_call|>[{"name":"f","arguments":{}}])").broken);
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
