#include "server/choice_decoder.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth::server {
namespace {

using ::testing::ElementsAre;

// What a client gets, joined.
struct Seen {
  WholeChoice choice;
  std::vector<std::string> arguments;  // pieces of them, as they came
};

class ChoiceDecoderTest : public testing::Test {
 protected:
  ChoiceDecoderTest() {
    auto tokenizer =
        Tokenizer::Create(SmallBpe({}, {"<|end|>", "<|tool_call|>", "<|/tool_call|>"}));
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  // The tokens of text, markers by name.
  std::vector<TokenId> Ids(std::vector<std::string> pieces) const {
    std::vector<TokenId> ids;
    for (const std::string& piece : pieces) {
      if (const auto marker = tokenizer_->Marker(piece)) {
        ids.push_back(*marker);
        continue;
      }
      for (TokenId id : tokenizer_->Encode(piece)) ids.push_back(id);
    }
    return ids;
  }

  ToolCallSyntax Syntax() const {
    return {"functools", tokenizer_->Marker("<|tool_call|>"), tokenizer_->Marker("<|/tool_call|>")};
  }

  static void Add(std::deque<Output>& outputs, Seen& seen) {
    for (const Output& output : outputs) {
      if (const auto* delta = std::get_if<Delta>(&output)) seen.choice.Add(*delta);
      if (const auto* call = std::get_if<ToolCallDelta>(&output)) {
        EXPECT_EQ(call->id.empty(), call->name.empty());
        seen.choice.Add(*call);
        seen.arguments.push_back(call->arguments);
      }
    }
    outputs.clear();
  }

  Seen Run(ChoiceOptions options, const std::vector<TokenId>& ids, bool length = false) const {
    ChoiceDecoder decoder(*tokenizer_, std::move(options));
    Seen seen;
    std::deque<Output> outputs;
    for (TokenId id : ids) {
      decoder.Push({id, {id, -1.5f}, {{id, -1.5f}}}, outputs);
      Add(outputs, seen);
      if (decoder.stopped()) break;
    }
    decoder.Finish(outputs);
    Add(outputs, seen);
    seen.choice.Add(decoder.End(length));
    return seen;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(ChoiceDecoderTest, TextIsTextWhereNoCallsAreExpected) {
  const Seen seen = Run({}, Ids({R"(functools[{"name": "f", "arguments": {}}])"}));
  EXPECT_EQ(seen.choice.text, R"(functools[{"name": "f", "arguments": {}}])");
  EXPECT_TRUE(seen.choice.calls.empty());
  EXPECT_EQ(seen.choice.reason, EndReason::kStop);
}

TEST_F(ChoiceDecoderTest, CallsAreTakenOutOfTheText) {
  const Seen seen =
      Run({.tool_calls = Syntax(), .call_id_prefix = "call_x_"},
          Ids({R"(See: functools[{"name": "f", "arguments": {"a": [1, [2]]}}, {"name": "g", )"
               R"("arguments": {}}])"}));
  EXPECT_EQ(seen.choice.text, "See: ");
  ASSERT_EQ(seen.choice.calls.size(), 2u);
  EXPECT_EQ(seen.choice.calls[0].name, "f");
  EXPECT_EQ(seen.choice.calls[0].arguments, R"({"a": [1, [2]]})");
  EXPECT_EQ(seen.choice.calls[1].arguments, "{}");
  EXPECT_NE(seen.choice.calls[0].id, seen.choice.calls[1].id);
  EXPECT_EQ(seen.choice.calls[0].id.substr(0, 7), "call_x_");
  EXPECT_EQ(seen.choice.reason, EndReason::kToolCalls);
  EXPECT_GT(seen.arguments.size(), 5u);  // they grow
}

// Markers have no text of their own, and open and close calls all the same.
TEST_F(ChoiceDecoderTest, CallsBetweenMarkers) {
  const Seen seen =
      Run({.tool_calls = Syntax()},
          Ids({"<|tool_call|>", R"([{"name": "f", "arguments": {"a": "]"}}])", "<|/tool_call|>"}));
  EXPECT_EQ(seen.choice.text, "");
  ASSERT_EQ(seen.choice.calls.size(), 1u);
  EXPECT_EQ(seen.choice.calls[0].arguments, R"({"a": "]"})");
  EXPECT_EQ(seen.choice.reason, EndReason::kToolCalls);
}

// The grammar takes what only spells a marker for text, in which anything may stand.
TEST_F(ChoiceDecoderTest, AMarkerThatIsOnlySpeltIsText) {
  const std::vector<std::string> spelt = {"<|tool_", R"(call|>[{"name": "f", "arguments": {}}])",
                                          "<|/tool_", "call|>"};
  const Seen seen = Run({.tool_calls = Syntax()}, Ids(spelt));
  EXPECT_EQ(seen.choice.text, R"(<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>)");
  EXPECT_TRUE(seen.choice.calls.empty());
  EXPECT_EQ(seen.choice.reason, EndReason::kStop);
}

TEST_F(ChoiceDecoderTest, ACallThatTheLimitCutsEndsWithLength) {
  const Seen seen =
      Run({.tool_calls = Syntax()}, Ids({R"(functools[{"name": "f", "arguments": {"a")"}), true);
  EXPECT_EQ(seen.choice.reason, EndReason::kLength);
  ASSERT_EQ(seen.choice.calls.size(), 1u);
  EXPECT_EQ(seen.choice.calls[0].arguments, R"({"a")");
}

// Wherever the limit cuts, what was begun of a call is no text.
TEST_F(ChoiceDecoderTest, ACallThatTheLimitCutsIsNoText) {
  const std::string call = R"(functools[{"name": "f", "arguments": {"a": 1}}])";
  for (size_t length = 1; length < call.size(); ++length) {
    const std::vector<TokenId> ids = Ids({call.substr(0, length)});
    const Seen forced = Run({.tool_calls = Syntax(), .calls_only = true}, ids, true);
    EXPECT_EQ(forced.choice.text, "") << length;
    const Seen free = Run({.tool_calls = Syntax()}, ids, true);
    const bool opened = length >= std::string_view("functools[").size();
    EXPECT_EQ(free.choice.text, opened ? "" : call.substr(0, length)) << length;
  }
}

TEST_F(ChoiceDecoderTest, StopStringsEndTextAndNotArguments) {
  const Seen call = Run({.stop = {"END"}, .tool_calls = Syntax()},
                        Ids({R"(functools[{"name": "f", "arguments": {"a": "END"}}])"}));
  EXPECT_EQ(call.choice.reason, EndReason::kToolCalls);
  EXPECT_EQ(call.choice.calls[0].arguments, R"({"a": "END"})");
  const Seen text = Run({.stop = {"STOP", "END"}, .tool_calls = Syntax()}, Ids({"so END of it"}));
  EXPECT_EQ(text.choice.text, "so ");
  EXPECT_EQ(text.choice.reason, EndReason::kStop);
  EXPECT_EQ(text.choice.stop, "END");
}

// One character each for text and calls, in their order.
std::string Order(const std::deque<Output>& outputs) {
  std::string order;
  for (const Output& output : outputs) {
    const auto* delta = std::get_if<Delta>(&output);
    if (delta != nullptr && delta->text.empty()) continue;
    if (order.empty() || (order.back() == 't') != (delta != nullptr)) {
      order.push_back(delta != nullptr ? 't' : 'c');
    }
  }
  return order;
}

// What may become a stop string comes before the call that follows it, and goes on behind none.
TEST_F(ChoiceDecoderTest, TextAndCallsKeepTheirOrder) {
  const std::string output = R"(aENfunctools[{"name":"f","arguments":{}}]Db)";
  const auto tokenizer = Tokenizer::Create(SmallSpm({{output, -1.0f}}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::vector<TokenId> all_in_one = {3 + 256};
  for (const auto& [vocabulary, ids] :
       {std::pair(tokenizer_.get(), Ids({output})), std::pair(tokenizer->get(), all_in_one)}) {
    ChoiceDecoder decoder(*vocabulary,
                          {.stop = {"END"}, .tool_calls = ToolCallSyntax{"functools"}});
    std::deque<Output> outputs;
    for (const TokenId id : ids) decoder.Push({id, {}, {}}, outputs);
    decoder.Finish(outputs);
    EXPECT_EQ(Order(outputs), "tct");
    EXPECT_FALSE(decoder.stopped());
    Seen seen;
    Add(outputs, seen);
    EXPECT_EQ(seen.choice.text, "aENDb");
    EXPECT_EQ(seen.choice.calls.size(), 1u);
  }
}

TEST_F(ChoiceDecoderTest, LogprobsComeWithEveryTokenWhereAskedFor) {
  const std::vector<TokenId> ids =
      Ids({"a call: ", R"(functools[{"name": "f", "arguments": {}}])"});
  const Seen with = Run({.tool_calls = Syntax(), .logprobs = true}, ids);
  ASSERT_EQ(with.choice.tokens.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(with.choice.tokens[i].id, ids[i]);
    EXPECT_EQ(with.choice.tokens[i].logprob, -1.5f);
    EXPECT_EQ(with.choice.tokens[i].top.size(), 1u);
  }
  for (const OutputToken& token : Run({}, ids).choice.tokens) EXPECT_FALSE(token.logprob);
}

TEST_F(ChoiceDecoderTest, AnEchoIsTextThatNothingStops) {
  ChoiceDecoder decoder(*tokenizer_, {.stop = {"ab"}, .tool_calls = Syntax(), .logprobs = true});
  Seen seen;
  std::deque<Output> outputs;
  decoder.Echo(Ids({"ab"}), outputs);
  decoder.Echo({{Ids({"c"})[0], {Ids({"c"})[0], -2.0f}, {}}}, outputs);
  Add(outputs, seen);
  EXPECT_EQ(seen.choice.text, "abc");
  EXPECT_FALSE(seen.choice.tokens.front().logprob);
  EXPECT_EQ(seen.choice.tokens.back().logprob, -2.0f);
  EXPECT_FALSE(decoder.stopped());
  EXPECT_EQ(decoder.tokens(), 0);
}

// A character that the prompt begins and the output ends.
TEST_F(ChoiceDecoderTest, AnEchoAndTheOutputAreOneText) {
  const std::vector<TokenId> ids = Ids({"\xc3\xa4"});
  ASSERT_EQ(ids.size(), 2u);
  ChoiceDecoder decoder(*tokenizer_, {});
  Seen seen;
  std::deque<Output> outputs;
  decoder.Echo(absl::MakeConstSpan(ids).first(1), outputs);
  decoder.Push({ids[1], {}, {}}, outputs);
  decoder.Finish(outputs);
  Add(outputs, seen);
  EXPECT_EQ(seen.choice.text, "\xc3\xa4");
}

}  // namespace
}  // namespace hearth::server
