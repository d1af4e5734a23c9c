// The grammar of tool calls, with Phi-4-mini's two forms.
#include <memory>
#include <string>
#include <vector>

#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "engine/constrain/schema_error.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

constexpr char kWeather[] = R"({"type":"object","properties":{"city":{"type":"string"},
    "days":{"type":"array","items":{"type":"integer"}}},"required":["city"],
    "additionalProperties":false})";

class ToolCallsTest : public ::testing::Test {
 protected:
  ToolCallsTest()
      : tokenizer_(*Tokenizer::Create(
            SmallBpe({{"[", "{"}, {"s", "["}, {"s[", "{"}, {"]", "!"}},
                     {"<|end|>", "<|tool_call|>", "<|/tool_call|>", "<|user|>"}))),
        trie_(*tokenizer_),
        masks_(trie_) {
    calls_.syntax = {"functools", tokenizer_->Marker("<|tool_call|>"),
                     tokenizer_->Marker("<|/tool_call|>")};
    calls_.tools = {{"get_weather", kWeather, "/tools/0/parameters"},
                    {"get", R"({"type":"object"})"}};
  }

  std::shared_ptr<const Constraint> Compile() {
    auto constraint = Constraint::Compile(calls_);
    EXPECT_TRUE(constraint.ok()) << constraint.status();
    return *std::move(constraint);
  }

  // Text and markers, <...> as spelt in the vocabulary.
  bool Accepts(const std::string& text) {
    Matcher matcher(Compile(), masks_, tokenizer_->stop_tokens());
    for (size_t i = 0; i < text.size();) {
      const size_t close = text.find("|>", i);
      TokenId token = static_cast<uint8_t>(text[i]);
      size_t length = 1;
      if (text.compare(i, 2, "<|") == 0 && close != text.npos) {
        length = close + 2 - i;
        token = *tokenizer_->Marker(text.substr(i, length));
      }
      if (!matcher.Accept(token)) return false;
      i += length;
    }
    return matcher.Accept(*tokenizer_->Marker("<|end|>"));
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  TokenTrie trie_;
  TokenMasks masks_;
  ToolCallsSource calls_;
};

constexpr char kCall[] = R"({"name":"get_weather","arguments":{"city":"Oslo","days":[1,[2]]}})";

TEST_F(ToolCallsTest, RequiredIsCallsAndNothingElse) {
  calls_.required = true;
  EXPECT_TRUE(Accepts(R"(functools[{"name": "get_weather", "arguments": {"city": "Oslo"}}])"));
  EXPECT_TRUE(Accepts(
      R"(<|tool_call|>[{"name":"get_weather","arguments":{"city":"]","days":[1]}}]<|/tool_call|>)"));
  EXPECT_TRUE(Accepts(R"(functools[{"name":"get","arguments":{"any":[{}]}}])"));
  EXPECT_TRUE(Accepts(R"(functools[{"name":"get","arguments":{}},
    {"name":"get_weather","arguments":{"city":""}}])"));
  for (const char* refused :
       {"", "hello", "[", "functools[]", "functools", kCall,
        R"(functools[{"name":"other","arguments":{}}])",
        R"(functools[{"name":"get_weather","arguments":{}}])",
        R"(functools[{"name":"get_weather","arguments":{"city":"Oslo","days":[1,[2]]}}])",
        R"(functools[{"name":"get","arguments":[]}])",
        R"(functools[{"name":"get","arguments":{}}]x)",
        R"(<|tool_call|>[{"name":"get","arguments":{}}])",
        R"(functools[{"name":"get","arguments":{}}]<|/tool_call|>)",
        R"(<|user|>[{"name":"get","arguments":{}}])"}) {
    EXPECT_FALSE(Accepts(refused)) << refused;
  }
}

TEST_F(ToolCallsTest, OneCallWhereMoreAreNotWanted) {
  calls_.required = true;
  calls_.parallel = false;
  EXPECT_TRUE(Accepts(R"(functools[{"name":"get","arguments":{}}])"));
  EXPECT_FALSE(
      Accepts(R"(functools[{"name":"get","arguments":{}},{"name":"get","arguments":{}}])"));
}

TEST_F(ToolCallsTest, OtherwiseTextUntilACallIsOpened) {
  EXPECT_TRUE(Accepts(""));
  EXPECT_TRUE(Accepts("hello [1] {} \"\n\u00e9"));
  EXPECT_TRUE(Accepts("functool and functools are words"));
  EXPECT_TRUE(Accepts(R"(I will. functools[{"name":"get","arguments":{}}])"));
  EXPECT_TRUE(Accepts(R"(functfunctools[{"name":"get","arguments":{}}])"));
  EXPECT_TRUE(Accepts(R"(so: <|tool_call|>[{"name":"get","arguments":{}}]<|/tool_call|>)"));
  for (const char* refused : {"functools[1]", "functools[", "functools[]", "a functools[x",
                              R"(functools[{"name":"nope","arguments":{}}])",
                              R"(functools[{"name":"get","arguments":{}}] more)", "<|user|>",
                              "<|/tool_call|>", "<|tool_call|>", "<|tool_call|>hello", "\xff"}) {
    EXPECT_FALSE(Accepts(refused)) << refused;
  }
}

// Only the token is the marker; what spells it is text, as it is to those who look for calls.
TEST_F(ToolCallsTest, AMarkerThatIsOnlySpeltIsText) {
  Matcher matcher(Compile(), masks_, tokenizer_->stop_tokens());
  for (const char c : std::string(R"(<|tool_call|>[{"name":"nope","x":1}]<|/tool_call|>)")) {
    ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(c)));
  }
  EXPECT_TRUE(matcher.Accept(*tokenizer_->Marker("<|tool_call|>")));
  EXPECT_FALSE(matcher.Accept('x'));
}

TEST_F(ToolCallsTest, AFormMayLackItsOtherHalf) {
  calls_.required = true;
  calls_.syntax.close.reset();
  EXPECT_TRUE(Accepts(R"(<|tool_call|>[{"name":"get","arguments":{}}])"));
  calls_.syntax.opening.clear();
  EXPECT_FALSE(Accepts(R"(functools[{"name":"get","arguments":{}}])"));
  calls_.required = false;
  EXPECT_TRUE(Accepts("functools[1]"));
  EXPECT_TRUE(Accepts(R"(x<|tool_call|>[{"name":"get","arguments":{}}])"));
  calls_.syntax.open.reset();
  EXPECT_TRUE(absl::IsInvalidArgument(Constraint::Compile(calls_).status()));
}

TEST_F(ToolCallsTest, TokensMaySpanTheOpening) {
  Matcher matcher(Compile(), masks_, tokenizer_->stop_tokens());
  for (const char c : std::string("ok functool"))
    ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(c)));
  const auto token = [&](const std::string& text) { return tokenizer_->Encode(text).at(0); };
  MaskWords mask(trie_.words());
  const auto allowed = [&](TokenId id) {
    EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
    return (mask[id / 64] >> (id % 64) & 1) == 1;
  };
  EXPECT_TRUE(allowed(token("s[{")));
  EXPECT_TRUE(allowed(token("s[")));
  EXPECT_TRUE(allowed(*tokenizer_->Marker("<|tool_call|>")));
  EXPECT_TRUE(allowed(*tokenizer_->Marker("<|end|>")));
  EXPECT_FALSE(allowed(*tokenizer_->Marker("<|user|>")));
  ASSERT_TRUE(matcher.Accept('s'));
  EXPECT_TRUE(allowed(token("[{")));
  EXPECT_TRUE(allowed(token("]!")));
  ASSERT_TRUE(matcher.Accept(token("[{")));
  EXPECT_FALSE(allowed('x'));
  EXPECT_FALSE(allowed(*tokenizer_->Marker("<|end|>")));
  EXPECT_TRUE(allowed('"'));
}

TEST_F(ToolCallsTest, ArgumentsAreObjectsWhateverTheSchemaSays) {
  calls_.required = true;
  calls_.tools = {{"f", "{}"}};
  EXPECT_TRUE(Accepts(R"(functools[{"name":"f","arguments":{"a":1}}])"));
  EXPECT_FALSE(Accepts(R"(functools[{"name":"f","arguments":1}])"));
}

// A model makes up what is not listed, unless the schema says that there is more.
TEST_F(ToolCallsTest, ArgumentsHaveNoPropertiesButThoseThatAreListed) {
  calls_.required = true;
  const auto accepts = [this](const char* schema, const std::string& arguments) {
    calls_.tools = {{"f", schema}};
    return Accepts(R"(functools[{"name":"f","arguments":)" + arguments + "}]");
  };
  const char* listed = R"({"properties":{"a":{"properties":{"b":{}}}}})";
  EXPECT_TRUE(accepts(listed, R"({"a":{"b":1}})"));
  EXPECT_FALSE(accepts(listed, R"({"a":{"b":1},"c":1})"));
  EXPECT_FALSE(accepts(listed, R"({"a":{"c":1}})"));
  const char* both = R"({"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})";
  EXPECT_TRUE(accepts(both, R"({"a":1,"b":1})"));
  EXPECT_FALSE(accepts(both, R"({"a":1,"c":1})"));
  EXPECT_TRUE(accepts(R"({"properties":{}})", "{}"));
  EXPECT_FALSE(accepts(R"({"properties":{}})", R"({"a":1})"));
  EXPECT_TRUE(accepts(R"({"properties":{"a":{}},"additionalProperties":{}})", R"({"c":1})"));
  EXPECT_TRUE(accepts(R"({"properties":{"a":{}},"patternProperties":{"c":{}}})", R"({"c":1})"));
  EXPECT_TRUE(accepts(R"({"type":"object"})", R"({"c":1})"));
  calls_.tools = {{"f"}};
  EXPECT_FALSE(Accepts(R"(functools[{"name":"f","arguments":{"a":1}}])"));
}

TEST_F(ToolCallsTest, RefusalsPointIntoTheTool) {
  calls_.tools = {{"get"},
                  {"f", R"({"properties":{"x":{"not":{}}}})", "/tools/1/function/parameters"}};
  EXPECT_EQ(*SchemaErrorPointer(Constraint::Compile(calls_).status()),
            "/tools/1/function/parameters/properties/x/not");
  calls_.tools[1].parameters = R"({"$ref":"#/$defs/a","$defs":{"a":{"not":{}}}})";
  EXPECT_EQ(*SchemaErrorPointer(Constraint::Compile(calls_).status()),
            "/tools/1/function/parameters/$defs/a/not");
  calls_.tools[1].parameters = R"({"type":"array"})";
  EXPECT_EQ(*SchemaErrorPointer(Constraint::Compile(calls_).status()),
            "/tools/1/function/parameters");
  calls_.tools = {{"f"}, {"f"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Constraint::Compile(calls_).status()));
  calls_.tools.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(Constraint::Compile(calls_).status()));
}

}  // namespace
}  // namespace hearth
