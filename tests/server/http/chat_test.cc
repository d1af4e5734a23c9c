// /v1/chat/completions with tools, constraints and log-probabilities, on the demo model, which has
// learnt to call tools.
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/ascii.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kPath[] = "/v1/chat/completions";

constexpr char kWeather[] = R"({"type":"function","function":{"name":"get_weather",
    "description":"Get the current weather for a city.","strict":true,"parameters":{"type":"object",
    "properties":{"city":{"description":"The city.","type":"string"}},"required":["city"],
    "additionalProperties":false}}})";
constexpr char kTime[] = R"({"type":"function","function":{"name":"get_time",
    "description":"Get the local time of a city.","parameters":{"type":"object",
    "properties":{"city":{"description":"The city.","type":"string"}}}}})";

class ChatTest : public HttpTest {
 protected:
  void SetUp() override {
    config_.set_model(HEARTH_SOURCE_DIR "/deploy/demo/hearth-demo-q8_0.gguf");
    StartWithModel();
  }

  static std::string Ask(std::string_view question, std::string_view members = "") {
    return absl::StrCat(R"({"temperature":0,"messages":[{"role":"user","content":")",
                        std::string(question), "\"}]", members.empty() ? "" : ",",
                        std::string(members), "}");
  }
  static std::string Tools(std::string_view members = "") {
    return absl::StrCat("\"tools\":[", kWeather, ",", kTime, "]", members.empty() ? "" : ",",
                        std::string(members));
  }
  Json Choice(std::string_view body) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply.json()["choices"][0];
  }
  std::vector<Json> Stream(std::string_view body) const {
    std::vector<Json> chunks;
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    for (const std::string& event : Events(reply.body)) {
      if (event != "[DONE]") chunks.push_back(Json::parse(event, nullptr, false));
    }
    return chunks;
  }
  RawReply Refused(std::string_view members, std::string_view param) const {
    const RawReply reply = Post(kPath, Ask("hi", members));
    EXPECT_EQ(reply.status, 400) << members << reply.body;
    EXPECT_EQ(reply.error("param"), param) << members << reply.body;
    return reply;
  }
  static Json Arguments(const Json& call) {
    return Json::parse(call["function"]["arguments"].get<std::string>(), nullptr, false);
  }
};

TEST_F(ChatTest, CallsToolsAsItLikes) {
  const Json choice = Choice(Ask("What is the weather in Oslo?", Tools()));
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u);
  const Json& call = choice["message"]["tool_calls"][0];
  EXPECT_THAT(call["id"].get<std::string>(), StartsWith("call_"));
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"]["name"], "get_weather");
  EXPECT_EQ(Arguments(call), Json({{"city", "Oslo"}}));
  const Json none = Choice(Ask("Say hello.", Tools()));
  EXPECT_EQ(none["finish_reason"], "stop");
  EXPECT_EQ(none["message"].count("tool_calls"), 0u);
}

TEST_F(ChatTest, ChoiceNoneShowsNoTools) {
  const Json choice = Choice(Ask("Say hello.", Tools(R"("tool_choice":"none")")));
  EXPECT_EQ(choice, Choice(Ask("Say hello.")));
}

TEST_F(ChatTest, ForcedCallsMeetTheirSchemas) {
  const Json required = Choice(Ask("Say hello.", Tools(R"("tool_choice":"required")")));
  EXPECT_EQ(required["finish_reason"], "tool_calls");
  EXPECT_TRUE(required["message"]["content"].is_null());
  EXPECT_GE(required["message"]["tool_calls"].size(), 1u);
  for (const Json& call : required["message"]["tool_calls"]) {
    EXPECT_TRUE(Arguments(call).is_object()) << call;
  }
  const Json named =
      Choice(Ask("What is the weather in Oslo?",
                 Tools(R"("tool_choice":{"type":"function","function":{"name":"get_time"}})")));
  ASSERT_EQ(named["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(named["message"]["tool_calls"][0]["function"]["name"], "get_time");
  const Json allowed = Choice(Ask(
      "What is the weather in Oslo?",
      Tools(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[
            {"type":"function","function":{"name":"get_time"}}]}},"parallel_tool_calls":false)")));
  ASSERT_EQ(allowed["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(allowed["message"]["tool_calls"][0]["function"]["name"], "get_time");
}

TEST_F(ChatTest, AnswersFromAResult) {
  const Json asked = Choice(Ask("What is the weather in Oslo?", Tools()))["message"];
  const std::string body = absl::StrCat(
      R"({"temperature":0,)", Tools(),
      R"(,"messages":[{"role":"user","content":"What is the weather in Oslo?"},)", asked.dump(),
      R"(,{"role":"tool","tool_call_id":"x","content":[{"type":"text",
           "text":"{\"temperature\": 4, \"condition\": \"rain\"}"}]}]})");
  const Json answer = Choice(body);
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_THAT(answer["message"]["content"].get<std::string>(), HasSubstr("4"));
}

TEST_F(ChatTest, StreamedCallsAreTheWholeOnes) {
  const std::string question = "What is the weather in Oslo?";
  const Json whole = Choice(Ask(question, Tools()))["message"]["tool_calls"][0];
  const std::vector<Json> chunks =
      Stream(Ask(question, Tools(R"("stream":true,"stream_options":{"include_usage":true})")));
  ASSERT_GE(chunks.size(), 5u);
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  std::string arguments;
  int pieces = 0;
  int finals = 0;
  for (size_t i = 1; i + 1 < chunks.size(); ++i) {
    EXPECT_TRUE(chunks[i]["usage"].is_null());
    const Json& choice = chunks[i]["choices"][0];
    EXPECT_EQ(finals, 0) << "after the final chunk: " << choice;
    if (!choice["finish_reason"].is_null()) {
      EXPECT_EQ(choice["finish_reason"], "tool_calls");
      ++finals;
      continue;
    }
    for (const Json& call : choice["delta"]["tool_calls"]) {
      EXPECT_EQ(call["index"], 0);
      EXPECT_EQ(call.count("id"), pieces == 0 ? 1u : 0u);
      EXPECT_EQ(call["function"].value("name", ""), pieces == 0 ? "get_weather" : "");
      ++pieces;
      arguments += call["function"]["arguments"].get<std::string>();
    }
  }
  EXPECT_EQ(finals, 1);
  EXPECT_GT(pieces, 2);  // they grow
  EXPECT_EQ(arguments, whole["function"]["arguments"]);
  EXPECT_TRUE(chunks.back()["choices"].empty());
  EXPECT_GT(chunks.back()["usage"]["total_tokens"], 0);
}

TEST_F(ChatTest, P27_Tools) {
  const auto tool = [](std::string_view function) {
    return absl::StrCat(R"("tools":[{"type":"function","function":)", std::string(function), "}]");
  };
  Refused(R"("tools":{})", "tools");
  Refused(R"("tools":[5])", "tools[0]");
  EXPECT_EQ(Refused(R"("tools":[{"type":"custom","custom":{"name":"f"}}])", "tools[0].type")
                .error("code"),
            "unsupported_value");
  Refused(R"("tools":[{"type":"function"}])", "tools[0].function");
  Refused(tool("{}"), "tools[0].function.name");
  for (const char* name : {"", "a b", "a.b", "\\u00e4", "x\\n"}) {
    Refused(tool(absl::StrCat(R"({"name":")", name, "\"}")), "tools[0].function.name");
  }
  Refused(tool(absl::StrCat(R"({"name":")", std::string(65, 'x'), "\"}")),
          "tools[0].function.name");
  Refused(tool(R"({"name":"f","parameters":[]})"), "tools[0].function.parameters");
  Refused(tool(R"({"name":"f","description":5})"), "tools[0].function.description");
  Refused(tool(R"({"name":"f","strict":"yes"})"), "tools[0].function.strict");
  Refused(absl::StrCat("\"tools\":[", kWeather, ",", kWeather, "]"), "tools[1].function.name");
  std::string many = R"("max_tokens":1,"tools":[)";
  for (int i = 0; i < 129; ++i) {
    if (i == 128) {
      EXPECT_EQ(Post(kPath, Ask("hi", many + "]")).status, 200);
    }
    absl::StrAppend(&many, i > 0 ? "," : "", R"({"type":"function","function":{"name":"f)", i,
                    "\"}}");
  }
  Refused(many + "]", "tools");
  Refused(tool(absl::StrCat(R"({"name":"f","description":")", std::string(200'000, 'x'), "\"}")),
          "tools");
  std::string deep = R"({"name":"f","parameters":{"a":)";
  for (int i = 0; i < 100'000; ++i) deep += "[";
  for (int i = 0; i < 100'000; ++i) deep += "]";
  EXPECT_EQ(Post(kPath, Ask("hi", tool(deep + "}}"))).status, 400);
  // A keyword that is not supported is named where it stands, before anything is generated.
  EXPECT_THAT(Refused(tool(R"({"name":"f","parameters":{"type":"object",
                       "properties":{"a":{"type":"array","uniqueItems":true}}}})"),
                      "tools")
                  .error("message"),
              HasSubstr("/tools/0/function/parameters/properties/a/uniqueItems"));
}

TEST_F(ChatTest, P28_ToolChoice) {
  const std::pair<const char*, const char*> bad[] = {
      {R"("always")", "tool_choice"},
      {"5", "tool_choice"},
      {"{}", "tool_choice.type"},
      {R"({"type":"function"})", "tool_choice.function"},
      {R"({"type":"function","function":{}})", "tool_choice.function.name"},
      {R"({"type":"function","function":{"name":"get_tide"}})", "tool_choice"},
      {R"({"type":"allowed_tools"})", "tool_choice.allowed_tools"}};
  for (const auto& [choice, param] : bad) {
    Refused(Tools(absl::StrCat("\"tool_choice\":", choice)), param);
  }
  Refused(Tools(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"none"}})"),
          "tool_choice.allowed_tools.mode");
  Refused(
      Tools(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}})"),
      "tool_choice.allowed_tools.tools");
  Refused(R"("tool_choice":"required")", "tool_choice");
  Refused(Tools(R"("parallel_tool_calls":1)"), "parallel_tool_calls");
  EXPECT_EQ(Post(kPath, Ask("hi", R"("max_tokens":1,"tool_choice":"auto")")).status, 200);
}

TEST_F(ChatTest, CallsInMessagesAreChecked) {
  const auto refused = [this](std::string_view message, std::string_view param) {
    const RawReply reply = Post(
        kPath,
        absl::StrCat(R"({"messages":[{"role":"user","content":"a"},)", std::string(message), "]}"));
    EXPECT_EQ(reply.status, 400) << message << reply.body;
    EXPECT_EQ(reply.error("param"), param) << message << reply.body;
  };
  const auto call = [](std::string_view function) {
    return absl::StrCat(
        R"({"role":"assistant","tool_calls":[{"id":"1","type":"function","function":)",
        std::string(function), "}]}");
  };
  refused(R"({"role":"assistant","tool_calls":5})", "messages[1].tool_calls");
  refused(R"({"role":"assistant","tool_calls":[5]})", "messages[1].tool_calls[0]");
  refused(R"({"role":"assistant","tool_calls":[{"id":"1","type":"custom"}]})",
          "messages[1].tool_calls[0].type");
  refused(call("5"), "messages[1].tool_calls[0].function");
  refused(call(R"({"name":"f"})"), "messages[1].tool_calls[0].function.arguments");
  refused(call(R"({"name":"f","arguments":"{"})"), "messages[1].tool_calls[0].function.arguments");
  refused(call(R"({"name":"f","arguments":"[]"})"), "messages[1].tool_calls[0].function.arguments");
  refused(call(R"({"name":"f f","arguments":"{}"})"), "messages[1].tool_calls[0].function.name");
  // None at all, as OpenAI has it.
  const auto conversation = [&](const char* arguments) {
    return absl::StrCat(R"({"messages":[{"role":"user","content":"hi"},)",
                        call(absl::StrCat(R"({"name":"f","arguments":")", arguments, "\"}")),
                        R"(,{"role":"tool","tool_call_id":"1","content":"x"}]})");
  };
  const RawReply none = Post("/apply-template", conversation(""));
  EXPECT_EQ(none.status, 200) << none.body;
  EXPECT_EQ(none.body, Post("/apply-template", conversation("{}")).body);
  // And with a key twice, which no schema forbids a model.
  EXPECT_EQ(Post("/apply-template", conversation(R"({\"x\":{\"y\":1},\"x\":[],\"x\":2})")).status,
            200);
  refused(R"({"role":"tool","content":"x"})", "messages[1].tool_call_id");
  refused(R"({"role":"user","content":"x","tool_calls":[{"id":"1","type":"function",
              "function":{"name":"f","arguments":"{}"}}]})",
          "messages[1].tool_calls");
}

TEST_F(ChatTest, ResponseFormatHolds) {
  const std::string question =
      "Extract name, age and city as JSON: Marta Keller is a nurse from Bremen and is 34 years "
      "old.";
  const Json choice = Choice(Ask(question, R"("response_format":{"type":"json_schema",
      "json_schema":{"name":"person","strict":true,"schema":{"type":"object",
      "properties":{"name":{"type":"string"},"age":{"type":"integer"},"city":{"type":"string"}},
      "required":["name","age","city"],"additionalProperties":false}}})"));
  EXPECT_EQ(Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false),
            Json({{"name", "Marta Keller"}, {"age", 34}, {"city", "Bremen"}}));
  const Json object = Choice(Ask("Say hello.", R"("response_format":{"type":"json_object"},
      "max_tokens":200)"));
  if (object["finish_reason"] == "stop") {
    EXPECT_TRUE(
        Json::parse(object["message"]["content"].get<std::string>(), nullptr, false).is_object());
  } else {
    EXPECT_THAT(object["message"]["content"].get<std::string>(), StartsWith("{"));
  }
  EXPECT_EQ(Choice(Ask("Say hello.", R"("response_format":{"type":"text"})")),
            Choice(Ask("Say hello.")));
}

// Properties are written in the order in which the schema has them.
TEST_F(ChatTest, PropertiesKeepTheirOrder) {
  const auto content = [this](std::string_view properties) {
    return Choice(Ask("Say hello.", absl::StrCat(R"("guided_json":{"type":"object","properties":)",
                                                 std::string(properties),
                                                 R"(,"required":["a","b"],
                                                 "additionalProperties":false})")))
        ["message"]["content"]
            .get<std::string>();
  };
  const std::string a = content(R"({"b":{"const":1},"a":{"const":2}})");
  const std::string b = content(R"({"a":{"const":2},"b":{"const":1}})");
  EXPECT_LT(a.find("\"b\""), a.find("\"a\"")) << a;
  EXPECT_LT(b.find("\"a\""), b.find("\"b\"")) << b;
}

TEST_F(ChatTest, RegexAndChoiceUnderTheNamesOfVllm) {
  EXPECT_THAT(Choice(Ask("What is 47 + 36?", R"("guided_regex":"[0-9]{2}")"))["message"]["content"]
                  .get<std::string>(),
              testing::MatchesRegex("[0-9][0-9]"));
  for (const char* members :
       {R"("guided_choice":["yes","no"])", R"("structured_outputs":{"choice":["yes","no"]})"}) {
    EXPECT_THAT(Choice(Ask("Is it?", members))["message"]["content"].get<std::string>(),
                testing::AnyOf("yes", "no"));
  }
  EXPECT_THAT(
      Choice(
          Ask("x", R"("structured_outputs":{"regex":"a+b"},"max_tokens":50)"))["message"]["content"]
          .get<std::string>(),
      StartsWith("a"));
}

TEST_F(ChatTest, P29_ResponseFormats) {
  Refused(R"("response_format":5)", "response_format");
  Refused(R"("response_format":{"type":"nonsense"})", "response_format.type");
  Refused(R"("response_format":{})", "response_format.type");
  Refused(R"("response_format":{"type":"json_schema"})", "response_format.json_schema");
  Refused(R"("response_format":{"type":"json_schema","json_schema":{"name":"x"}})",
          "response_format.json_schema.schema");
  Refused(R"("guided_regex":5)", "guided_regex");
  Refused(R"("guided_choice":[])", "guided_choice");
  Refused(R"("guided_choice":["a",1])", "guided_choice");
  Refused(R"("structured_outputs":{"json_object":1})", "structured_outputs.json_object");
  Refused(R"("guided_json":"{")", "guided_json");
  Refused(R"("guided_json":{},"guided_regex":"a")", "guided_regex");
  Refused(Tools(R"("response_format":{"type":"json_object"})"), "response_format");
}

// Each as its row says, always; what is served meets its schema.
TEST_F(ChatTest, P30_SchemasAndPatternsAreServedOrRefused) {
  const auto schema = [](std::string_view text) {
    return absl::StrCat(R"("max_tokens":60,"response_format":{"type":"json_schema","json_schema":{
        "name":"x","schema":)",
                        std::string(text), "}}");
  };
  const auto content = [&](std::string_view text) {
    const Json choice = Choice(Ask("hi", schema(text)));
    EXPECT_EQ(choice["finish_reason"], "stop");
    return Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false);
  };
  std::string options = R"({"enum":["a0")";
  for (int i = 1; i < 10'000; ++i) absl::StrAppend(&options, ",\"a", i, "\"");
  std::string deep = "{}";
  for (int i = 0; i < 65; ++i) deep = absl::StrCat(R"({"items":)", deep, "}");
  const Json listed = content(options + "]}");
  EXPECT_NE(options.find(absl::StrCat(listed.dump(), ",")), options.npos) << listed;
  EXPECT_THAT(content(R"({"type":"string","pattern":"(a+)+b","maxLength":8})").get<std::string>(),
              HasSubstr("ab"));

  const char* param = "response_format.json_schema.schema";
  for (const char* text :
       {R"({"$ref":"#"})", R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})",
        R"({"type":"string","minLength":1000000000})",
        R"({"type":"string","pattern":"(x{1000}){1000}"})", R"({"type":"string","pattern":"^+"})",
        R"j({"type":"string","pattern":"(?<=x)y"})j", R"({"type":"array","uniqueItems":true})"}) {
    Refused(schema(text), param);
  }
  Refused(schema(deep), "");  // as JSON
  EXPECT_THAT(Refused(schema(R"({"$ref":"http://example.com/x"})"), param).error("message"),
              Not(HasSubstr("example.com")));
  EXPECT_THAT(
      Refused(schema(R"({"properties":{"a":{"uniqueItems":true}}})"), param).error("message"),
      HasSubstr("/properties/a/uniqueItems"));
  Refused(
      absl::StrCat("\"guided_regex\":\"", std::string(60'000, '('), std::string(60'000, ')'), "\""),
      "guided_regex");
}

// What can hold of nothing is refused, so that no mask is ever empty.
TEST_F(ChatTest, P31_SchemasThatNothingMeets) {
  for (const char* schema : {R"({"type":"string","minLength":5,"maxLength":4})", "false",
                             R"({"allOf":[{"type":"string"},{"type":"integer"}]})",
                             R"({"enum":[]})", R"({"type":"integer","minimum":5,"maximum":4})"}) {
    Refused(absl::StrCat("\"guided_json\":", schema), "guided_json");
  }
}

// A constraint that fails while it runs ends its own request and no other.
TEST_F(ChatTest, P31_AConstraintThatFailsEndsItsRequestAlone) {
  const std::string ordinary =
      Ask("What is the weather in Oslo?", absl::StrCat("\"max_tokens\":1900,", Endless()));
  const Json alone = Choice(ordinary);
  Json among;
  std::thread sibling([&] { among = Choice(ordinary); });
  ASSERT_TRUE(Eventually([&] { return daemon_->engine().stats().running == 1; }));
  const std::string failing = absl::StrCat("\"guided_json\":", SchemaOfTooManyWays());
  const RawReply whole = Post(kPath, Ask("hi", failing));
  const RawReply streamed = Post(kPath, Ask("hi", failing + ",\"stream\":true"));
  EXPECT_EQ(daemon_->engine().stats().running, 1) << "the sibling was to run meanwhile";
  sibling.join();
  for (const RawReply& reply : {whole, streamed}) {
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.error("type"), "invalid_request_error");
    EXPECT_FALSE(reply.error("message").empty());
  }
  EXPECT_EQ(among, alone);
}

// What looks like the protocol's own lines is text inside of JSON.
TEST_F(ChatTest, S7_TextThatLooksLikeEventsIsEscaped) {
  const std::string text = "data: x\n\ndata: [DONE]";
  const RawReply reply = Post(kPath, Ask("hi", absl::StrCat("\"stream\":true,\"guided_choice\":",
                                                            Json::array({text}).dump())));
  ASSERT_EQ(reply.status, 200) << reply.body;
  ForEachPart(reply.body, '\n', [](std::string_view line) {
    EXPECT_TRUE(line.empty() || line.starts_with("data: ") || line.starts_with(": ")) << line;
  });
  const std::vector<std::string> events = Events(reply.body);
  EXPECT_EQ(std::count(events.begin(), events.end(), "[DONE]"), 1);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string joined;
  for (const std::string& event : events) {
    if (event == "[DONE]") continue;
    const Json chunk = Json::parse(event, nullptr, false);
    ASSERT_FALSE(chunk.is_discarded()) << event;
    joined += chunk["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(joined, text);
}

TEST_F(ChatTest, S5_CharactersOfSeveralTokensComeWhole) {
  std::string text;
  int chunks = 0;
  for (const Json& chunk : Stream(Ask(
           "hi", R"("stream":true,"logprobs":true,"guided_regex":"(\ud83d\ude00|\u20ac){4}")"))) {
    const Json& delta = chunk["choices"][0]["delta"];
    if (delta.contains("content")) text += delta["content"].get<std::string>();
    ++chunks;
  }
  EXPECT_GT(chunks, 8);
  EXPECT_THAT(text, testing::MatchesRegex("(\xf0\x9f\x98\x80|\xe2\x82\xac)+"));
}

TEST_F(ChatTest, S6_BytesThatAreNoTextBecomeReplacementCharacters) {
  const TokenId id = daemon_->engine().tokenizer().Encode("\xff").front();
  const std::string members = absl::StrCat("\"max_tokens\":3,\"logit_bias\":{\"", id, "\":100}");
  EXPECT_EQ(Choice(Ask("hi", members))["message"]["content"], "\uFFFD\uFFFD\uFFFD");
  std::string streamed;
  for (const Json& chunk : Stream(Ask("hi", members + ",\"stream\":true"))) {
    const Json& delta = chunk["choices"][0]["delta"];
    if (delta.contains("content")) streamed += delta["content"].get<std::string>();
  }
  EXPECT_EQ(streamed, "\uFFFD\uFFFD\uFFFD");
}

TEST_F(ChatTest, P25_Logprobs) {
  Refused(R"("top_logprobs":2)", "top_logprobs");
  Refused(R"("logprobs":false,"top_logprobs":2)", "top_logprobs");
  Refused(R"("logprobs":1)", "logprobs");
  for (const char* value : {"21", "-1", "1.5", "\"2\"", "2147483648"}) {
    Refused(absl::StrCat("\"logprobs\":true,\"top_logprobs\":", value), "top_logprobs");
  }
}

// Of the distribution before temperature: what greedy decoding takes is the likeliest, and the
// probabilities of the likeliest add up to no more than one.
TEST_F(ChatTest, LogprobsAreThoseOfTheText) {
  const Json choice = Choice(Ask("Who are you?", R"("logprobs":true,"top_logprobs":3)"));
  std::string text;
  for (const Json& token : choice["logprobs"]["content"]) {
    ASSERT_EQ(token["top_logprobs"].size(), 3u);
    EXPECT_EQ(token["top_logprobs"][0]["token"], token["token"]);
    EXPECT_EQ(token["top_logprobs"][0]["logprob"], token["logprob"]);
    double sum = 0;
    for (const Json& top : token["top_logprobs"]) sum += std::exp(top["logprob"].get<double>());
    EXPECT_LE(sum, 1 + 1e-5);
    for (const Json& byte : token["bytes"]) text.push_back(static_cast<char>(byte.get<int>()));
  }
  EXPECT_EQ(text, choice["message"]["content"]);
  EXPECT_TRUE(choice["logprobs"]["refusal"].is_null());
  const Json alone = Choice(Ask("Who are you?", R"("logprobs":true)"))["logprobs"]["content"][0];
  EXPECT_TRUE(alone["top_logprobs"].empty());
  EXPECT_EQ(alone["logprob"], choice["logprobs"]["content"][0]["logprob"]);
}

TEST_F(ChatTest, StreamedLogprobsAreTheWholeOnes) {
  const char* members = R"("logprobs":true,"top_logprobs":2)";
  const Json whole = Choice(Ask("Who are you?", members));
  Json streamed = Json::array();
  std::string text;
  for (const Json& chunk : Stream(Ask("Who are you?", absl::StrCat(members, ",\"stream\":true")))) {
    const Json& choice = chunk["choices"][0];
    if (choice["delta"].count("content") > 0) text += choice["delta"]["content"].get<std::string>();
    if (choice["logprobs"].is_null()) continue;
    for (const Json& token : choice["logprobs"]["content"]) streamed.push_back(token);
  }
  EXPECT_EQ(streamed, whole["logprobs"]["content"]);
  EXPECT_EQ(text, whole["message"]["content"]);
}

TEST_F(ChatTest, EndsCanBeMoved) {
  const Json usual = Post(kPath, Ask("Say hello.")).json();
  const int tokens = usual["usage"]["completion_tokens"].get<int>();
  const auto count = [this](std::string_view members) {
    return Post(kPath, Ask("Say hello.", members)).json()["usage"]["completion_tokens"].get<int>();
  };
  EXPECT_EQ(count(R"("ignore_eos":true,"max_tokens":60)"), 60);
  EXPECT_EQ(count(absl::StrCat("\"max_tokens\":60,\"min_tokens\":", tokens + 5)) > tokens + 4,
            true);
  const TokenId hello = daemon_->engine().tokenizer().Encode("Hello").front();
  const Json cut = Choice(Ask("Say hello.", absl::StrCat("\"stop_token_ids\":[", hello, "]")));
  EXPECT_EQ(cut["message"]["content"], "");
  EXPECT_EQ(cut["finish_reason"], "stop");
  Refused(R"("stop_token_ids":[-1])", "stop_token_ids");
  Refused(R"("stop_token_ids":5)", "stop_token_ids");
  Refused(R"("stop_token_ids":[1.5])", "stop_token_ids");
  Refused(R"("min_tokens":-1)", "min_tokens");
  Refused(R"("min_tokens":5,"max_tokens":4)", "min_tokens");
  Refused(R"("ignore_eos":1)", "ignore_eos");
}

TEST_F(ChatTest, TheOldestTurnsAreLeftOutOnlyWhereAskedFor) {
  std::string messages = R"({"role":"system","content":"Answer briefly."})";
  for (int i = 0; i < 400; ++i) {
    messages +=
        R"(,{"role":"user","content":"What is 47 + 36?"},{"role":"assistant","content":"83"})";
  }
  messages += R"(,{"role":"user","content":"Who are you?"})";
  const auto body = [&messages](std::string_view members) {
    return absl::StrCat(R"({"temperature":0,"max_tokens":32,"messages":[)", messages, "]",
                        std::string(members), "}");
  };
  for (const char* members : {"", R"(,"truncation":"disabled")"}) {
    EXPECT_EQ(Post(kPath, body(members)).error("code"), "context_length_exceeded");
  }
  const RawReply reply = Post(kPath, body(R"(,"truncation":"auto")"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const int prompt = reply.json()["usage"]["prompt_tokens"].get<int>();
  EXPECT_LE(prompt + 32, 2048);
  EXPECT_GT(prompt + 32, 2048 - 40);  // as little as can be
  Refused(R"("truncation":"start")", "truncation");
  EXPECT_EQ(
      Post(kPath, absl::StrCat(R"({"truncation":"auto","messages":[{"role":"user","content":")",
                               std::string(20'000, 'x'), "\"}]}"))
          .error("code"),
      "context_length_exceeded");
}

TEST_F(ChatTest, ProgressIsToldOnRequest) {
  std::string question;
  for (int i = 0; i < 200; ++i) question += "What is 47 + 36? ";
  const std::vector<Json> chunks =
      Stream(Ask(question, R"("max_tokens":2,"stream":true,"return_progress":true)"));
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  int told = 0;
  for (const Json& chunk : chunks) {
    if (chunk.count("prompt_progress") == 0) continue;
    ++told;
    EXPECT_TRUE(chunk["choices"].empty());
    EXPECT_GT(chunk["prompt_progress"]["total"], 200);
    EXPECT_LE(chunk["prompt_progress"]["processed"], chunk["prompt_progress"]["total"]);
    EXPECT_GE(chunk["prompt_progress"]["time_ms"], 0);
  }
  EXPECT_GT(told, 1);
  Refused(R"("return_progress":true)", "return_progress");
}

TEST_F(ChatTest, ServiceFields) {
  for (const char* members : {R"("priority":-5)", R"("priority":7)", R"("cache_salt":"a")",
                              R"("prompt_cache_key":"a","user":"b","store":false)"}) {
    EXPECT_EQ(Choice(Ask("Say hello.", members)), Choice(Ask("Say hello."))) << members;
  }
  Refused(R"("priority":1.5)", "priority");
  Refused(R"("cache_salt":5)", "cache_salt");
  Refused(absl::StrCat("\"cache_salt\":\"", std::string(513, 'x'), "\""), "cache_salt");
  Refused(R"("reasoning_effort":"low")", "reasoning_effort");
  Refused(R"("functions":[{"name":"f"}])", "functions");
}

// Who names another key does not see what the first has cached.
TEST_F(ChatTest, CacheSaltsKeepPrefixesApart) {
  std::string question;
  for (int i = 0; i < 60; ++i) question += "What is 47 + 36? ";
  const auto cached = [&](std::string_view members) {
    const Json reply = Post(kPath, Ask(question, members)).json();
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached(R"("max_tokens":1)"), 0);
  EXPECT_GT(cached(R"("max_tokens":1)"), 0);
  EXPECT_EQ(cached(R"("max_tokens":1,"cache_salt":"a")"), 0);
  EXPECT_GT(cached(R"("max_tokens":1,"cache_salt":"a")"), 0);
}

TEST_F(ChatTest, TheFingerprintNamesBuildModelAndArithmetic) {
  const Json reply = Post(kPath, Ask("hi", R"("max_tokens":1)")).json();
  EXPECT_THAT(reply["system_fingerprint"].get<std::string>(),
              testing::MatchesRegex("fp_[0-9.]+_a[0-9]+_[0-9a-f]+_int8"));
}

class StrictTest : public ChatTest {
 protected:
  void SetUp() override {
    config_.mutable_limits()->set_strict_fields(true);
    ChatTest::SetUp();
  }
};

TEST_F(StrictTest, J18_UnknownFieldsAreRefused) {
  const RawReply reply = Refused(R"("frobnicate":1)", "frobnicate");
  EXPECT_EQ(reply.error("code"), "unknown_parameter");
  EXPECT_EQ(Refused("\"x\\u0000y\\n\":1", "x?y?").status, 400);
  EXPECT_EQ(Post(kPath, Ask("hi", R"("max_tokens":1)")).status, 200);
}

TEST_F(ChatTest, J18_IgnoredFieldsAreCounted) {
  EXPECT_THAT(Get("/metrics").body, HasSubstr("hearth_ignored_fields_total 0"));
  Choice(Ask("hi", R"("max_tokens":1,"frob":1,"nicate":2)"));
  EXPECT_THAT(Get("/metrics").body, HasSubstr("hearth_ignored_fields_total 2"));
}

}  // namespace
}  // namespace hearth::server
