// Constrained generations through the real engine, with models of random weights: the worst case
// for a grammar, as they want everything alike.
#include "engine/constrain/constraint.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/chat/tool_calls.h"
#include "engine/constrain/compile_budget.h"
#include "engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"
#include "tests/constrain/random_schema.h"
#include "tests/constrain/std_regex.h"
#include "tests/constrain/validator.h"
#include "tests/fakes/collecting_sink.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

EngineOptions Tiny() {
  EngineOptions options;
  options.model_path = absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q8_0.gguf");
  options.kv_tokens = 8192;
  return options;
}

class ConstraintTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto loaded = Engine::Load(Tiny());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    engine_ = loaded->release();
  }
  static void TearDownTestSuite() {
    delete engine_;
    engine_ = nullptr;
  }

  static std::shared_ptr<const Constraint> Compile(const ConstraintSource& source) {
    auto constraint = engine_->CompileConstraint(source);
    EXPECT_TRUE(constraint.ok()) << constraint.status();
    return constraint.ok() ? *std::move(constraint) : nullptr;
  }
  static std::shared_ptr<const Constraint> Compile(const char* schema) {
    return Compile(JsonSchemaSource{schema});
  }

  static TokenId IdOf(std::string_view text) { return engine_->tokenizer().Encode(text).at(0); }

  static Request Ask(std::shared_ptr<const Constraint> constraint, int32_t max_tokens,
                     uint64_t seed = 1) {
    Request request;
    request.prompt = {5, 17, 300, 41};
    request.max_tokens = max_tokens;
    request.stop_tokens = engine_->tokenizer().stop_tokens();
    request.sampling.seed = seed;
    request.constraint = std::move(constraint);
    return request;
  }

  // Makes a model that wants everything alike want ends of documents more than the rest.
  static void WantTheEnd(Request& request) {
    for (const char* text : {"\"", "}", "]", "1", ","}) {
      request.sampling.logit_bias.push_back({IdOf(text), 8 * request.sampling.temperature});
    }
    for (const TokenId token : engine_->tokenizer().stop_tokens()) {
      request.sampling.logit_bias.push_back({token, 20});
    }
  }

  struct Reply {
    std::string text;
    std::vector<TokenId> tokens;
    Finish finish;
  };
  // All at once; as many as the queue takes.
  static std::vector<Reply> Run(const std::vector<Request>& requests, Engine* engine = engine_) {
    std::vector<Reply> replies;
    const size_t at_once = static_cast<size_t>(engine->info().max_running);
    for (size_t begin = 0; begin < requests.size(); begin += at_once) {
      std::vector<std::shared_ptr<CollectingSink>> sinks;
      for (size_t i = begin; i < std::min(begin + at_once, requests.size()); ++i) {
        sinks.push_back(std::make_shared<CollectingSink>());
        EXPECT_TRUE(engine->Submit(requests[i], sinks.back()).ok());
      }
      for (const auto& sink : sinks) {
        const Finish finish = sink->Wait();
        const std::vector<TokenId> tokens = sink->tokens();
        replies.push_back({engine->tokenizer().Decode(tokens), tokens, finish});
      }
    }
    return replies;
  }
  static Reply Run(const Request& request) { return Run(std::vector<Request>{request})[0]; }

  static Engine* engine_;
};
Engine* ConstraintTest::engine_ = nullptr;

// A reply that ended is a document; one that was cut off is the beginning of one.
void ExpectValid(const Json& schema, const Constraint& constraint, const std::string& text,
                 const Finish& finish) {
  ASSERT_TRUE(finish.status.ok()) << finish.status << schema;
  if (finish.reason == FinishReason::kLength) {
    EXPECT_EQ(Read(constraint, text).bytes, text.size()) << text << "\n" << schema;
    return;
  }
  ASSERT_EQ(finish.reason, FinishReason::kStop);
  const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(document.is_discarded()) << text;
  EXPECT_TRUE(IsValid(schema, document)) << text << "\n" << schema;
}

TEST_F(ConstraintTest, DocumentsOfRandomSchemasAreValid) {
  constexpr uint32_t kSchemas = 1000;
  uint32_t compiled = 0, finished = 0;
  for (uint32_t seed = 0; seed < kSchemas;) {
    std::vector<Json> schemas;
    std::vector<Request> requests;
    for (; seed < kSchemas && requests.size() < 16; ++seed) {
      const Json schema = RandomSchema(seed).schema();
      const auto constraint = engine_->CompileConstraint(JsonSchemaSource{schema.dump()});
      if (!constraint.ok()) {
        ASSERT_THAT(std::string(constraint.status().message()), HasSubstr("no document can meet"));
        continue;
      }
      schemas.push_back(schema);
      requests.push_back(Ask(*constraint, 120, seed));
      requests.back().sampling.temperature = seed % 2 == 0 ? 1.0f : 2.0f;
      if (seed % 8 != 0) WantTheEnd(requests.back());
    }
    const std::vector<Reply> replies = Run(requests);
    for (size_t i = 0; i < replies.size(); ++i) {
      ExpectValid(schemas[i], *requests[i].constraint, replies[i].text, replies[i].finish);
      finished += replies[i].finish.reason == FinishReason::kStop;
    }
    compiled += static_cast<uint32_t>(replies.size());
  }
  EXPECT_GT(compiled, kSchemas * 9 / 10);
  EXPECT_GT(finished, 700u);
}

TEST_F(ConstraintTest, RegularExpressionsMatch) {
  for (const char* pattern : {"(a|b){3,20}c", "[0-9]{1,4}(\\.[0-9]{2})?",
                              "(yes|no|maybe)( [a-z]{1,9})?", "[A-Z][a-z]{0,9}!{1,3}"}) {
    std::vector<Request> requests;
    for (uint64_t seed = 0; seed < 16; ++seed) {
      requests.push_back(Ask(Compile(RegexSource{pattern}), 60, seed));
      requests.back().sampling.temperature = seed % 4 == 0 ? 0.0f : 2.0f;
      requests.back().sampling.logit_bias = {{engine_->tokenizer().stop_tokens().back(), 5}};
    }
    for (const Reply& reply : Run(requests)) {
      ASSERT_EQ(reply.finish.reason, FinishReason::kStop) << reply.text;
      EXPECT_TRUE(StdRegexMatches(pattern, reply.text)) << pattern << " " << reply.text;
    }
  }
}

TEST_F(ConstraintTest, ChoicesAreAllMadeAndNoOthers) {
  const std::vector<std::string> choices = {"red", "green", "greenish", "blue"};
  std::vector<Request> requests;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    requests.push_back(Ask(Compile(ChoiceSource{choices}), 20, seed));
    // Where "green" may end or go on.
    requests.back().sampling.logit_bias = {{engine_->tokenizer().stop_tokens().back(), 3}};
  }
  std::vector<std::string> made;
  for (const Reply& reply : Run(requests)) {
    EXPECT_EQ(reply.finish.reason, FinishReason::kStop);
    made.push_back(reply.text);
  }
  std::sort(made.begin(), made.end());
  made.erase(std::unique(made.begin(), made.end()), made.end());
  EXPECT_THAT(made, testing::UnorderedElementsAreArray(choices));
}

ToolCallsSource Tools(const Tokenizer& tokenizer) {
  ToolCallsSource source;
  source.tools = {{"weather", R"({"type":"object","properties":{"days":{"enum":[1,2,3]}},
                                  "required":["days"],"additionalProperties":false})"},
                  {"now", R"({"type":"object","additionalProperties":false})"}};
  source.syntax = {"functools", tokenizer.Marker("<|tool_call|>"),
                   tokenizer.Marker("<|/tool_call|>")};
  return source;
}

// The calls in a reply, as a server finds them.
std::vector<std::pair<std::string, Json>> CallsIn(const Tokenizer& tokenizer,
                                                  const std::vector<TokenId>& tokens) {
  const ToolCallSyntax syntax = Tools(tokenizer).syntax;
  ToolCallParser parser(syntax.opening);
  ToolCallOutput output;
  for (const TokenId token : tokens) {
    output.Append(token == syntax.open    ? parser.Open()
                  : token == syntax.close ? parser.Close()
                                          : parser.Push(tokenizer.Bytes(token)));
  }
  output.Append(parser.Finish());
  std::vector<std::pair<std::string, std::string>> found;
  for (const ToolCallPiece& piece : output.calls) {
    if (static_cast<size_t>(piece.index) == found.size()) found.push_back({piece.name, ""});
    found.back().second += piece.arguments;
  }
  EXPECT_FALSE(parser.broken()) << tokenizer.Decode(tokens);
  std::vector<std::pair<std::string, Json>> calls;
  for (const auto& [name, arguments] : found) {
    calls.push_back({name, Json::parse(arguments, nullptr, /*allow_exceptions=*/false)});
  }
  return calls;
}

void ExpectCalls(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  const auto calls = CallsIn(tokenizer, tokens);
  const std::string text = tokenizer.Decode(tokens);
  EXPECT_FALSE(calls.empty()) << text;
  for (const auto& [name, arguments] : calls) {
    if (name == "weather") {
      ASSERT_EQ(arguments.size(), 1u) << text;
      EXPECT_THAT(arguments.at("days").get<int>(), testing::AnyOf(1, 2, 3)) << text;
    } else {
      EXPECT_EQ(name, "now");
      EXPECT_EQ(arguments, Json::object()) << text;
    }
  }
}

TEST_F(ConstraintTest, RequiredToolCallsAreTheModelsOwn) {
  ToolCallsSource source = Tools(engine_->tokenizer());
  ASSERT_TRUE(source.syntax.open && source.syntax.close);
  source.required = true;
  for (const bool parallel : {false, true}) {
    source.parallel = parallel;
    std::vector<Request> requests;
    for (uint64_t seed = 0; seed < 16; ++seed) {
      requests.push_back(Ask(Compile(source), 400, seed));
      WantTheEnd(requests.back());
      const float marked = seed % 2 == 0 ? 20 : -20;  // one form, and the other
      requests.back().sampling.logit_bias.push_back({*source.syntax.open, marked});
    }
    size_t most = 0;
    const std::vector<Reply> replies = Run(requests);
    for (size_t i = 0; i < replies.size(); ++i) {
      const std::string& text = replies[i].text;
      ASSERT_EQ(replies[i].finish.reason, FinishReason::kStop) << text;
      EXPECT_EQ(text.rfind(i % 2 == 0 ? "<|tool_call|>[" : "functools[", 0), 0u) << text;
      ExpectCalls(engine_->tokenizer(), replies[i].tokens);
      most = std::max(most, CallsIn(engine_->tokenizer(), replies[i].tokens).size());
    }
    EXPECT_EQ(most > 1, parallel);
  }
}

// Text as it comes, until the model opens a call; then a call and nothing else.
TEST_F(ConstraintTest, AnOpenedCallIsHeldToItsGrammar) {
  const ToolCallsSource source = Tools(engine_->tokenizer());
  int called = 0;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    Request request = Ask(Compile(source), 400, seed);
    WantTheEnd(request);
    request.stop_tokens.clear();  // nothing but a call ends it
    request.sampling.logit_bias.push_back({*source.syntax.open, 6});
    const Reply reply = Run(request);
    const size_t opened = reply.text.find("<|tool_call|>");
    if (reply.finish.reason == FinishReason::kLength) {
      EXPECT_EQ(opened, reply.text.npos);
      continue;
    }
    ++called;
    ASSERT_NE(opened, reply.text.npos) << reply.text;
    ExpectCalls(engine_->tokenizer(), reply.tokens);
  }
  EXPECT_GT(called, 8);
}

// The end of a document is the end of the reply, without a stop token and whatever holds those
// back.
TEST_F(ConstraintTest, WhatIsWholeEndsTheReply) {
  for (const bool ignores_stop_tokens : {false, true}) {
    Request request = Ask(Compile(R"({"const":[1,2]})"), 100);
    request.min_tokens = 50;
    if (ignores_stop_tokens) request.stop_tokens.clear();
    const Reply reply = Run(request);
    EXPECT_EQ(reply.finish.reason, FinishReason::kStop);
    EXPECT_EQ(Json::parse(reply.text), Json::parse("[1,2]"));
    EXPECT_EQ(reply.finish.completion_tokens, static_cast<int32_t>(reply.tokens.size()));
  }
}

TEST_F(ConstraintTest, ADocumentThatEndsAtMaxTokensIsWhole) {
  const Reply whole = Run(Ask(Compile(R"({"const":"abcdef"})"), 100));
  EXPECT_EQ(whole.text, "\"abcdef\"");
  const auto tokens = static_cast<int32_t>(whole.tokens.size());
  EXPECT_EQ(Run(Ask(Compile(R"({"const":"abcdef"})"), tokens)).finish.reason, FinishReason::kStop);
  const Reply cut = Run(Ask(Compile(R"({"const":"abcdef"})"), tokens - 1));
  EXPECT_EQ(cut.finish.reason, FinishReason::kLength);
  EXPECT_EQ(whole.text.rfind(cut.text, 0), 0u);
}

// Where a document may end or go on, min_tokens and ignored stop tokens let it go on.
TEST_F(ConstraintTest, MinTokensLengthenWhatMayGoOn) {
  const auto digits = Compile(RegexSource{"[0-9]{1,12}"});
  Request request = Ask(digits, 100);
  request.sampling.logit_bias = {{engine_->tokenizer().stop_tokens().back(), 100}};
  EXPECT_EQ(Run(request).tokens.size(), 1u);
  request.min_tokens = 3;
  EXPECT_EQ(Run(request).tokens.size(), 3u);
  request.stop_tokens.clear();
  EXPECT_EQ(Run(request).text.size(), 12u);
}

TEST_F(ConstraintTest, ABiasCannotAllowWhatIsForbidden) {
  Request request = Ask(Compile(R"({"enum":["a","b"]})"), 20);
  request.sampling.logit_bias = {{IdOf("x"), 100}, {IdOf("{"), 100}, {IdOf("b"), 100}};
  request.sampling.repetition_penalty = 0.01f;  // overflows what is multiplied by it
  request.sampling.frequency_penalty = -2;
  EXPECT_EQ(Run(request).text, "\"b\"");
}

TEST_F(ConstraintTest, LogprobsAreThoseOfTheModel) {
  // What the model would say unconstrained at the first position.
  std::vector<float> raw;
  auto engine = Engine::Load(Tiny());
  ASSERT_TRUE(engine.ok()) << engine.status();
  (*engine)->set_logit_observer([&](RequestId, int64_t position, absl::Span<const float> logits) {
    if (position == 4) raw.assign(logits.begin(), logits.end());
  });
  struct Sink final : EventSink {
    void OnEvent(const Event& event) override {
      if (const auto* token = std::get_if<Token>(&event); token && !first) first = *token;
      collected.OnEvent(event);
    }
    std::optional<Token> first;
    CollectingSink collected;
  };
  auto sink = std::make_shared<Sink>();
  auto constraint = (*engine)->CompileConstraint(ChoiceSource{{"zebra"}});
  Request request = Ask(*constraint, 20);
  request.top_logprobs = 3;
  ASSERT_TRUE((*engine)->Submit(request, sink).ok());
  sink->collected.Wait();
  double sum = 0;
  for (const float logit : raw) sum += std::exp(static_cast<double>(logit));
  ASSERT_TRUE(sink->first);
  EXPECT_NEAR(sink->first->logprob.logprob, raw[sink->first->id] - std::log(sum), 1e-3);
  ASSERT_EQ(sink->first->top.size(), 3u);
  const auto best = static_cast<TokenId>(std::max_element(raw.begin(), raw.end()) - raw.begin());
  EXPECT_EQ(sink->first->top[0].token, best);
}

// Choices of one prompt, drawn side by side, each at its own place.
TEST_F(ConstraintTest, ChoicesOfARequestAreIndependent) {
  const auto constraint = Compile(R"({"type":"array","items":{"enum":["x","yy",10]},"minItems":3,
                                      "maxItems":6})");
  std::vector<Request> requests;
  for (uint32_t choice = 0; choice < 4; ++choice) {
    requests.push_back(Ask(constraint, 100));
    requests.back().choice = choice;
  }
  const std::vector<Reply> together = Run(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(together[i].text, Run(requests[i]).text);
    EXPECT_TRUE(Accepts(*constraint, together[i].text)) << together[i].text;
  }
  EXPECT_NE(together[0].text, together[1].text);
}

TEST_F(ConstraintTest, SameTokensAloneAmongOthersAndAfterPreemption) {
  const auto make = [&](Engine& engine, uint64_t seed) {
    Request request = Ask(*engine.CompileConstraint(JsonSchemaSource{R"({"type":"array",
        "items":{"type":"string","minLength":2,"maxLength":9},"minItems":40})"}),
                          150, seed);
    return request;
  };
  const std::vector<TokenId> alone = Run(make(*engine_, 3)).tokens;
  ASSERT_EQ(alone.size(), 150u);

  std::vector<Request> many;
  for (uint64_t seed = 0; seed < 16; ++seed) many.push_back(make(*engine_, seed));
  EXPECT_EQ(Run(many)[3].tokens, alone);

  // Blocks for one of them and a part of the other.
  EngineOptions small = Tiny();
  small.kv_tokens = 192;
  auto engine = Engine::Load(small);
  ASSERT_TRUE(engine.ok()) << engine.status();
  for (int i = 0; i < 50 && (*engine)->stats().preemptions == 0; ++i) {
    const std::vector<Reply> replies = Run({make(**engine, 5), make(**engine, 3)}, engine->get());
    EXPECT_EQ(replies[1].tokens, alone);
  }
  EXPECT_GT((*engine)->stats().tokens_recomputed, 0u);
}

// F21: only the request itself fails.
TEST_F(ConstraintTest, F21_AConstraintWithTooManyWaysFailsAlone) {
  // An array of one of many kinds, in an array of one of many kinds: all begin alike.
  Json schema;
  for (int i = 0; i < 40; ++i) {
    Json item = {{"title", i}};
    for (int j = 0; j < 40; ++j) {
      item["anyOf"].push_back({{"type", "array"}, {"minItems", 1}, {"maxItems", j + 1}});
    }
    schema["anyOf"].push_back(
        {{"type", "array"}, {"prefixItems", {item}}, {"minItems", 1}, {"maxItems", i + 1}});
  }
  const auto constraint = engine_->CompileConstraint(JsonSchemaSource{schema.dump()});
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  std::vector<Request> requests = {Ask(*constraint, 30), Ask(Compile(R"({"const":"fine"})"), 30)};
  const std::vector<Reply> replies = Run(requests);
  EXPECT_EQ(replies[0].finish.reason, FinishReason::kError);
  EXPECT_TRUE(absl::IsInvalidArgument(replies[0].finish.status)) << replies[0].finish.status;
  EXPECT_EQ(replies[1].text, "\"fine\"");
}

TEST_F(ConstraintTest, P30_WhatCannotBeCompiledIsRefusedByPointer) {
  const auto status = [](const char* schema) {
    return engine_->CompileConstraint(JsonSchemaSource{schema, "/schema"}).status();
  };
  for (const auto& [schema, start] : std::vector<std::pair<const char*, const char*>>{
           {R"({"properties":{"a":{"not":{}}}})", "/schema/properties/a/not: "},
           {R"({"minLength":1000000000})", "/schema/minLength: "},
           {R"({"$ref":"http://example.org/"})", "/schema/$ref: "},
           {R"j({"pattern":"(?<=x)"})j", "/schema/pattern: "},
           {R"({"type":"string","enum":[1]})", "/schema: "},
           {"{", "/schema: "},
           {R"({"a":1,"a":2})", "/schema: "}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(status(schema))) << schema;
    EXPECT_EQ(std::string(status(schema).message()).rfind(start, 0), 0u) << status(schema);
  }
  EXPECT_TRUE(
      absl::IsInvalidArgument(status((std::string(100, '[') + std::string(100, ']')).c_str())));
}

// Of this thread, whatever else the machine does.
absl::Duration CpuTime() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

// Whether it is taken or refused.
TEST(CompileBudgetTest, P30_CompilesWithinItsBudget) {
  std::string options = R"({"enum":["a0")", chain = R"({"type":"null"})", deep = "{}", merged;
  for (int i = 1; i < 10'000; ++i) absl::StrAppend(&options, ",\"a", i, "\"");
  for (int i = 0; i < 60; ++i) chain = absl::StrCat(R"({"anyOf":[{"items":)", chain, "},true]}");
  for (int i = 0; i < 65; ++i) deep = absl::StrCat(R"({"items":)", deep, "}");
  for (int i = 0; i < 40; ++i) {
    absl::StrAppend(&merged, i > 0 ? "," : "", "\"d", i, R"(":{"allOf":[{"$ref":"#/$defs/d)", i + 1,
                    R"("},{"$ref":"#/$defs/d)", i + 1, "\"}]}");
  }
  const std::string schemas[] = {
      R"({"$ref":"#"})",
      R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})",
      R"({"$ref":"http://example.com/x"})",
      options + "]}",
      deep,
      chain,
      absl::StrCat(R"({"$ref":"#/$defs/d0","$defs":{)", merged, R"(,"d40":{"minimum":1}}})"),
      R"({"type":"string","minLength":1000000000})",
      R"({"type":"string","maxLength":100000})",
      R"({"type":"array","maxItems":1000000000})",
      R"({"type":"string","pattern":"(x{1000}){1000}"})",
      R"({"type":"string","pattern":"(a+)+b"})",
      R"({"type":"string","pattern":"^+"})",
      R"j({"type":"string","pattern":"(?<=x)y"})j",
      R"j({"type":"string","pattern":"(a|b)*a(a|b){40}"})j",
      R"j({"type":"string","pattern":"(.*a){30}.{30}b"})j",
      R"({"type":"string","pattern":"[\\p{L}]{100}[\\p{N}]{100}\\p{L}*x\\p{L}{20}"})",
      R"({"type":"string","format":"uri","pattern":"^h.*z$","minLength":90,"maxLength":99})"};
  std::vector<ConstraintSource> sources = {
      RegexSource{std::string(60'000, '(') + std::string(60'000, ')')}};
  for (const std::string& schema : schemas) sources.push_back(JsonSchemaSource{schema});
  for (size_t i = 0; i < sources.size(); ++i) {
    absl::Duration least = absl::InfiniteDuration();
    for (int round = 0; round < 3; ++round) {
      const absl::Duration begin = CpuTime();
      const auto constraint = Constraint::Compile(sources[i]);
      least = std::min(least, CpuTime() - begin);
      if (constraint.ok()) {
        EXPECT_LE((*constraint)->bytes(), static_cast<size_t>(CompileBudget::kBytes)) << i;
      } else {
        EXPECT_TRUE(absl::IsInvalidArgument(constraint.status())) << i << constraint.status();
      }
    }
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(least, absl::Milliseconds(50)) << i;
#endif
  }
}

// What requests hold counts; what nobody holds makes room.
TEST_F(ConstraintTest, CompiledConstraintsTakeBoundedMemory) {
  const auto large = [](int i) {
    Json schema = {{"title", i}};
    for (int j = 0; j < 5000; ++j) schema["enum"].push_back("value number " + std::to_string(j));
    return JsonSchemaSource{schema.dump()};
  };
  std::vector<std::shared_ptr<const Constraint>> held;
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) {
    auto constraint = engine_->CompileConstraint(large(i));
    status = constraint.status();
    if (constraint.ok()) held.push_back(*std::move(constraint));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_GT(held.size(), 10u);
  held.pop_back();
  EXPECT_TRUE(engine_->CompileConstraint(large(2000)).ok());
}

TEST_F(ConstraintTest, CompiledConstraintsAreKept) {
  EXPECT_EQ(Compile(R"({"const":"kept"})"), Compile(R"({"const":"kept"})"));
  EXPECT_NE(Compile(R"({"const":"kept"})"), Compile(R"({"const": "kept"})"));
}

}  // namespace
}  // namespace hearth
