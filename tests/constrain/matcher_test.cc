#include "engine/constrain/matcher.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/constrain/automaton.h"
#include "engine/constrain/constraint.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

class MatcherTest : public ::testing::Test {
 protected:
  MatcherTest()
      : tokenizer_(*Tokenizer::Create(SmallBpe({{"1", "]"}, {"[", "1"}}, {"<|end|>", "<|tool|>"}))),
        trie_(*tokenizer_),
        masks_(trie_) {}

  Matcher Make(const char* schema, int32_t min_tokens = 0) {
    return Matcher(*CompileSchema(Json::parse(schema)), masks_, {end()}, min_tokens);
  }
  TokenId Of(const std::string& text) { return tokenizer_->Encode(text).at(0); }
  TokenId end() { return *tokenizer_->Marker("<|end|>"); }
  MaskWords Mask(Matcher& matcher) {
    MaskWords mask(trie_.words());
    EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
    return mask;
  }
  static bool Has(const MaskWords& mask, TokenId token) {
    return mask[token / 64] >> (token % 64) & 1;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  TokenTrie trie_;
  TokenMasks masks_;
};

TEST_F(MatcherTest, IsOverWhereNothingCanBeAdded) {
  Matcher matcher = Make(R"({"type":"array","items":{"const":1},"maxItems":1})");
  EXPECT_FALSE(matcher.Accept(end()));
  EXPECT_TRUE(matcher.Accept(Of("[1")));
  EXPECT_FALSE(matcher.IsOver());
  EXPECT_TRUE(matcher.Accept(Of("]")));
  EXPECT_TRUE(matcher.IsOver());
  MaskWords only(trie_.words());
  only[end() / 64] |= uint64_t{1} << (end() % 64);
  EXPECT_EQ(Mask(matcher), only);
  EXPECT_TRUE(matcher.Accept(end()));
  EXPECT_TRUE(matcher.IsOver());
  EXPECT_EQ(Mask(matcher), MaskWords(trie_.words()));
  EXPECT_FALSE(matcher.Accept(end()));
}

TEST_F(MatcherTest, ARefusedTokenChangesNothing) {
  Matcher matcher = Make(R"({"type":"array","items":{"const":1},"maxItems":1})");
  const MaskWords before = Mask(matcher);
  EXPECT_FALSE(matcher.Accept(Of("1]")));
  EXPECT_FALSE(matcher.Accept(-1));
  EXPECT_FALSE(matcher.Accept(1 << 30));
  EXPECT_FALSE(matcher.Accept(*tokenizer_->Marker("<|tool|>")));
  EXPECT_EQ(Mask(matcher), before);
  EXPECT_TRUE(matcher.Accept(Of("[1")));
}

TEST_F(MatcherTest, NumbersMayEndOrGoOn) {
  Matcher matcher = Make(R"({"type":"integer"})");
  EXPECT_FALSE(Has(Mask(matcher), end()));
  EXPECT_TRUE(matcher.Accept(Of("1")));
  EXPECT_FALSE(matcher.IsOver());
  EXPECT_TRUE(Has(Mask(matcher), Of("7")));
  EXPECT_TRUE(Has(Mask(matcher), end()));
  EXPECT_TRUE(matcher.Accept(end()));
  EXPECT_TRUE(matcher.IsOver());
}

TEST_F(MatcherTest, ANumberOfAsManyDigitsAsThereMayBeIsOver) {
  Matcher matcher = Make(R"({"type":"integer","minimum":0,"maximum":10})");
  EXPECT_TRUE(matcher.Accept(Of("1")));
  EXPECT_FALSE(matcher.IsOver());
  EXPECT_TRUE(matcher.Accept(Of("0")));
  EXPECT_TRUE(matcher.IsOver());
}

TEST_F(MatcherTest, MinTokensHoldBackStopTokensButNotTheEnd) {
  Matcher matcher = Make(R"({"type":"integer","minimum":0,"maximum":999})", /*min_tokens=*/2);
  EXPECT_TRUE(matcher.Accept(Of("1")));
  EXPECT_FALSE(Has(Mask(matcher), end()));
  EXPECT_FALSE(matcher.Accept(end()));
  EXPECT_TRUE(matcher.Accept(Of("2")));
  EXPECT_TRUE(Has(Mask(matcher), end()));
  EXPECT_TRUE(matcher.Accept(Of("3")));
  EXPECT_TRUE(matcher.IsOver());

  Matcher soon = Make(R"({"const":7})", /*min_tokens=*/9);
  EXPECT_TRUE(soon.Accept(Of("7")));
  EXPECT_TRUE(soon.IsOver());
}

// A stop token that is text ends the document where it is whole, and is text elsewhere.
TEST_F(MatcherTest, StopTokensMayBeText) {
  Matcher matcher(*CompileSchema(Json::parse(R"({"type":"array","items":{"type":"integer"}})")),
                  masks_, {Of("1"), end(), -1, 1 << 30});
  EXPECT_TRUE(matcher.Accept(Of("[")));
  EXPECT_TRUE(matcher.Accept(Of("1")));
  EXPECT_FALSE(matcher.IsOver());
  EXPECT_FALSE(matcher.Accept(end()));

  Matcher number(*CompileSchema(Json::parse(R"({"type":"integer"})")), masks_, {Of("1")});
  EXPECT_TRUE(number.Accept(Of("1")));
  EXPECT_FALSE(number.IsOver());
  EXPECT_TRUE(number.Accept(Of("2")));
  EXPECT_TRUE(Has(Mask(number), Of("1")));
  EXPECT_TRUE(number.Accept(Of("1")));
  EXPECT_TRUE(number.IsOver());
}

// A thousand ways to go on at once would hold up everybody else.
TEST_F(MatcherTest, WhatCanBeReadInTooManyWaysIsRefused) {
  Json inner, schema;
  for (int i = 0; i < 40; ++i) inner["anyOf"].push_back({{"type", "array"}, {"maxItems", i + 1}});
  for (int i = 0; i < 40; ++i) {
    schema["anyOf"].push_back({{"type", "array"}, {"prefixItems", {inner}}, {"maxItems", i + 1}});
  }
  for (int i = 0; i < 40; ++i) schema["anyOf"][i]["prefixItems"][0]["title"] = i;
  Matcher matcher(*CompileSchema(schema), masks_, {end()});
  MaskWords mask(trie_.words());
  EXPECT_TRUE(absl::IsInvalidArgument(matcher.FillMask(absl::MakeSpan(mask))));
}

// Two hundred objects end in one call that two hundred arrays made: each of them is entered once,
// not once for each object.
TEST_F(MatcherTest, WhatManyWaysEndIsLeftOnce) {
  Json schema;
  for (int i = 0; i < 200; ++i) {
    schema["$defs"]["o"]["anyOf"].push_back({{"type", "object"}, {"title", i}});
    schema["anyOf"].push_back(
        {{"type", "array"}, {"items", {{"$ref", "#/$defs/o"}}}, {"maxItems", i + 1}});
  }
  const auto constraint = *CompileSchema(schema);
  Automaton automaton(constraint->grammar());
  Configuration now, next;
  automaton.Start(now);
  for (const char c : std::string("[{},{},{")) {
    automaton.Step(now, static_cast<uint8_t>(c), next);
    std::swap(now, next);
  }
  ASSERT_GE(now.items.size(), 200u);
  const uint64_t before = automaton.work();
  automaton.Step(now, '}', next);
  EXPECT_GE(next.items.size(), 198u);
  EXPECT_LT(automaton.work() - before, 600u);
}

// A byte costs a bounded amount of work, and what has too many ways to go on stays so.
TEST_F(MatcherTest, AStepIsBounded) {
  Json item, schema;
  for (int i = 0; i < 36; ++i) item["anyOf"].push_back({{"type", "array"}, {"maxItems", i + 1}});
  for (int i = 0; i < 36; ++i) {
    schema["anyOf"].push_back({{"type", "array"}, {"prefixItems", {item}}, {"maxItems", i + 1}});
    schema["anyOf"][i]["prefixItems"][0]["title"] = i;
  }
  Matcher matcher(*CompileSchema(schema), masks_, {end()});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(matcher.Accept(Of("[")));
  EXPECT_FALSE(matcher.IsOver());
  MaskWords mask(trie_.words());
  EXPECT_TRUE(absl::IsInvalidArgument(matcher.FillMask(absl::MakeSpan(mask))));

  const auto constraint = *CompileSchema(schema);
  Automaton automaton(constraint->grammar());
  Configuration now, next;
  automaton.Start(now);
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = automaton.work();
    automaton.Step(now, '[', next);
    std::swap(now, next);
    EXPECT_LT(automaton.work() - before, Automaton::kMostStepWork * 5 / 4);
    EXPECT_LE(now.items.capacity(), Automaton::kMostItems);
  }
  EXPECT_TRUE(now.too_many);
  EXPECT_FALSE(now.dead());
}

// Looking ahead leaves no more behind than the place needs, and some to spare.
TEST_F(MatcherTest, AMaskLeavesNoStacksBehind) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string brackets = "["; brackets.size() < 60; brackets += "[") {
    merges.push_back({brackets, "["});
  }
  const auto tokenizer = *Tokenizer::Create(SmallBpe(merges, {"<|end|>"}));
  const TokenTrie trie(*tokenizer);
  TokenMasks masks(trie);
  Json schema;
  for (int i = 0; i < 12; ++i) {
    const Json item = {{"$ref", "#"}, {"title", i}};
    schema["anyOf"].push_back({{"type", "array"}, {"items", item}, {"maxItems", i + 1}});
  }
  const auto constraint = *CompileSchema(schema);
  MaskWords mask(trie.words());
  Automaton automaton(constraint->grammar());
  Configuration start;
  automaton.Start(start);
  ASSERT_TRUE(masks.Fill(automaton, start, absl::MakeSpan(mask)).ok());
  ASSERT_GT(automaton.frames(), 4096u);
  Matcher matcher(constraint, masks, {}, 0);
  ASSERT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
  EXPECT_LT(matcher.frames(), 100u);
  EXPECT_TRUE(matcher.Accept('['));
}

// Enough nested calls to have call stacks thrown away many times over.
TEST_F(MatcherTest, LongDocumentsKeepTheirPlace) {
  Matcher matcher = Make("{}");
  std::mt19937 random(1);
  std::string open = "[";
  matcher.Accept('[');
  for (int i = 0; i < 40000; ++i) {
    std::string text;
    if (open.size() < 60 && (open.size() < 2 || random() % 2)) {
      open.push_back(random() % 2 ? '[' : '{');
      text = open.back() == '[' ? "[" : "{\"k\":";
    } else {
      text = open.back() == '[' ? "1]" : "1}";
      open.pop_back();
      text += open.back() == '[' ? "," : ",\"k\":";
    }
    for (const char c : text) {
      ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(c))) << i << " " << text << " in " << open;
    }
    if (i % 16 == 0) Mask(matcher);
  }
}

}  // namespace
}  // namespace hearth
