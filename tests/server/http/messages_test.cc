// /v1/messages on a small random model: what it writes is noise, so what it must write is forced.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kPath[] = "/v1/messages";
// No text that fits the limits ends by itself.
constexpr char kLong[] =
    R"("output_config":{"format":{"type":"json_schema",
       "schema":{"type":"string","minLength":1000}}})";
constexpr char kTool[] =
    R"("tools":[{"name":"f","input_schema":
       {"type":"object","properties":{"a":{"enum":[1]}},"required":["a"],
        "additionalProperties":false}}])";

class MessagesTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel(); }

  static std::string Request(std::string_view members = R"("max_tokens":4)") {
    return absl::StrCat(R"({"messages":[{"role":"user","content":"hi"}],)", std::string(members),
                        "}");
  }
  Json Served(std::string_view body, std::string_view path = kPath) const {
    const RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply.json();
  }
  // The error has Anthropic's form, and its message begins with the field.
  void Refused(std::string_view body, std::string_view param) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    const Json error = reply.json();
    EXPECT_EQ(error["type"], "error") << reply.body;
    EXPECT_EQ(error["error"]["type"], "invalid_request_error");
    EXPECT_THAT(error["error"]["message"].get<std::string>(),
                StartsWith(absl::StrCat(std::string(param), ": ")));
  }
  std::vector<Json> Streamed(std::string_view members) const {
    const RawReply reply =
        Post(kPath, Request(absl::StrCat(R"("stream":true,)", std::string(members))));
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<Json> events;
    for (const std::string& data : Events(reply.body)) {
      events.push_back(Json::parse(data));
      EXPECT_THAT(reply.body, HasSubstr(absl::StrCat(
                                  "event: ", events.back()["type"].get<std::string>(), "\n")));
    }
    return events;
  }
  static std::vector<std::string> Types(const std::vector<Json>& events) {
    std::vector<std::string> types;
    for (const Json& event : events) {
      const std::string type = event["type"].get<std::string>();
      if (types.empty() || types.back() != type) types.push_back(type);
    }
    return types;
  }
};

TEST_F(MessagesTest, ReplyIsShapedAsAnthropics) {
  const Json reply = Served(Request(R"("max_tokens":4,"metadata":{"user_id":"u"})"));
  EXPECT_THAT(reply["id"].get<std::string>(), StartsWith("msg_"));
  EXPECT_EQ(reply["type"], "message");
  EXPECT_EQ(reply["role"], "assistant");
  EXPECT_EQ(reply["model"], "tiny");
  EXPECT_TRUE(reply["stop_sequence"].is_null());
  EXPECT_GT(reply["usage"]["input_tokens"], 0);
  EXPECT_LE(reply["usage"]["output_tokens"], 4);
}

TEST_F(MessagesTest, StopReasons) {
  EXPECT_EQ(Served(Request(absl::StrCat(R"("max_tokens":8,)", kLong)))["stop_reason"],
            "max_tokens");
  const Json stopped = Served(Request(
      R"("max_tokens":50,"stop_sequences":["b"],"output_config":{"format":{"type":"json_schema",
         "schema":{"const":"abc"}}})"));
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "b");
  EXPECT_EQ(stopped["content"][0]["text"], "\"a");
  const Json ended = Served(Request(
      R"("max_tokens":50,"output_config":{"format":{"type":"json_schema","schema":{"const":1}}})"));
  EXPECT_EQ(ended["stop_reason"], "end_turn");
  EXPECT_EQ(ended["content"][0]["text"], "1");
}

TEST_F(MessagesTest, EventsOfATextComeInOrder) {
  const std::vector<Json> events = Streamed(absl::StrCat(R"("max_tokens":20,)", kLong));
  EXPECT_THAT(Types(events),
              ElementsAre("message_start", "ping", "content_block_start", "content_block_delta",
                          "content_block_stop", "message_delta", "message_stop"));
  EXPECT_TRUE(events[0]["message"]["content"].empty());
  EXPECT_GT(events[0]["message"]["usage"]["input_tokens"], 0);
  EXPECT_EQ(events[2]["content_block"]["type"], "text");
  const Json& end = events[events.size() - 2];
  EXPECT_EQ(end["delta"]["stop_reason"], "max_tokens");
  EXPECT_EQ(end["usage"]["output_tokens"], 20);
}

// The SDK's beta sends it so.
TEST_F(MessagesTest, OutputFormatIsTheEarlierName) {
  const Json reply = Served(
      Request(R"("max_tokens":50,"output_format":{"type":"json_schema","schema":{"const":1}})"));
  EXPECT_EQ(reply["content"][0]["text"], "1");
}

TEST_F(MessagesTest, StreamedTextIsTheWholeText) {
  const std::string members = absl::StrCat(R"("temperature":0,"max_tokens":12,)", kLong);
  std::string text;
  for (const Json& event : Streamed(members)) {
    if (event["type"] == "content_block_delta") text += event["delta"]["text"].get<std::string>();
  }
  EXPECT_EQ(Served(Request(members))["content"][0]["text"], text);
}

// The one call of a reply; white space may stand around it.
Json CallOf(const Json& reply) {
  std::vector<Json> calls;
  for (const Json& block : reply["content"]) {
    if (block["type"] == "tool_use") calls.push_back(block);
  }
  EXPECT_EQ(calls.size(), 1u) << reply;
  return calls.empty() ? Json() : calls[0];
}

TEST_F(MessagesTest, ForcedCallIsABlock) {
  for (const char* choice : {R"({"type":"any","disable_parallel_tool_use":true})",
                             R"({"type":"tool","name":"f","disable_parallel_tool_use":true})"}) {
    const std::string members =
        absl::StrCat(R"("max_tokens":200,"temperature":0,"tool_choice":)", choice, ",", kTool);
    const Json reply = Served(Request(members));
    const Json call = CallOf(reply);
    EXPECT_EQ(call["name"], "f");
    EXPECT_EQ(call["input"], Json({{"a", 1}}));

    std::string input, stop_reason;
    for (const Json& event : Streamed(members)) {
      if (event["type"] == "message_delta") stop_reason = event["delta"]["stop_reason"];
      if (event["type"] == "content_block_start" && event["content_block"]["type"] == "tool_use") {
        EXPECT_TRUE(event["content_block"]["input"].empty());
      }
      if (event["type"] != "content_block_delta") continue;
      if (event["delta"]["type"] != "input_json_delta") continue;
      input += event["delta"]["partial_json"].get<std::string>();
    }
    EXPECT_EQ(Json::parse(input), Json({{"a", 1}}));
    EXPECT_EQ(stop_reason, reply["stop_reason"]);
  }
}

TEST_F(MessagesTest, NamedToolIsCalledOnce) {
  for (int seed = 0; seed < 8; ++seed) {
    CallOf(Served(Request(absl::StrCat(R"("max_tokens":200,"temperature":)", 0.25 * seed,
                                       R"(,"tool_choice":{"type":"tool","name":"f"},)", kTool))));
  }
}

TEST_F(MessagesTest, CountIsNeverTooLow) {
  const std::string text(100'000, '\x01');  // a token each
  const Json turn = {{"messages", {{{"role", "user"}, {"content", text}}}}};
  const RawReply reply = Post("/v1/messages/count_tokens", DumpJson(turn));
  EXPECT_EQ(reply.status, 400) << reply.body;
}

TEST_F(MessagesTest, RequestIdIsWhereSdksLookForIt) {
  const RawReply served = Post(kPath, Request());
  EXPECT_EQ(served.headers.at("request-id"), served.headers.at("x-request-id"));
  const RawReply refused = Post(kPath, "{}");
  EXPECT_EQ(refused.json()["request_id"], refused.headers.at("request-id"));
  EXPECT_EQ(Get("/health").headers.count("request-id"), 0u);
}

TEST_F(MessagesTest, ErrorsOfItsPathsHaveItsForm) {
  for (const RawReply& reply : {Get(kPath), Post("/v1/messages/batches", "{}")}) {
    EXPECT_THAT(reply.status, testing::AnyOf(404, 405));
    EXPECT_EQ(reply.json()["type"], "error") << reply.body;
  }
}

// A call that the limit cuts has no whole arguments.
TEST_F(MessagesTest, CutCallHasEmptyInput) {
  const Json reply = Served(Request(
      R"("max_tokens":60,"tool_choice":{"type":"any"},"tools":[{"name":"f","input_schema":
         {"type":"object","properties":{"a":{"type":"string","minLength":500}},
          "required":["a"]}}])"));
  EXPECT_EQ(reply["stop_reason"], "max_tokens");
  for (const Json& block : reply["content"]) EXPECT_EQ(block["input"], Json::object()) << reply;
}

// Blocks make the prompt that the same turns make in chat.
TEST_F(MessagesTest, BlocksAreTheTurnsOfChat) {
  const char* turns = R"("system":[{"type":"text","text":"s"}],"messages":[
      {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
      {"role":"assistant","content":[{"type":"text","text":"c"},
        {"type":"tool_use","id":"x","name":"f","input":{}},
        {"type":"tool_use","id":"y","name":"f","input":{}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"x","content":"d","cache_control":{"type":"ephemeral"}},
        {"type":"tool_result","tool_use_id":"y","content":[{"type":"text","text":"e"}],
         "is_error":true},
        {"type":"text","text":"g"}]}])";
  const RawReply chat = Post("/v1/chat/completions", R"({"max_tokens":1,"messages":[
      {"role":"system","content":"s"},{"role":"user","content":"ab"},
      {"role":"assistant","content":"c","tool_calls":[
        {"id":"x","type":"function","function":{"name":"f","arguments":"{}"}},
        {"id":"y","type":"function","function":{"name":"f","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"x","content":"d"},
      {"role":"tool","tool_call_id":"y","content":"Error: e"},
      {"role":"user","content":"g"}]})");
  ASSERT_EQ(chat.status, 200) << chat.body;
  const Json count = Served(absl::StrCat("{", turns, "}"), "/v1/messages/count_tokens");
  EXPECT_EQ(count["input_tokens"], chat.json()["usage"]["prompt_tokens"]);
  const Json usage = Served(absl::StrCat(R"({"max_tokens":1,)", turns, "}"))["usage"];
  EXPECT_EQ(usage["input_tokens"].get<int>() + usage["cache_read_input_tokens"].get<int>(),
            count["input_tokens"]);
}

TEST_F(MessagesTest, P3_P4_P5_P6_P13_P19_P22_P27_P28_WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"max_tokens":1})", "messages"},
      {R"({"max_tokens":1,"messages":[]})", "messages"},
      {R"({"max_tokens":1,"messages":[5]})", "messages[0]"},
      {R"({"max_tokens":1,"messages":[{"role":"tool","content":"x"}]})", "messages[0].role"},
      {R"({"max_tokens":1,"messages":[{"role":"user","content":[]}]})", "messages[0].content"},
      {R"({"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]})",
       "messages[0].content[0].type"},
      {R"({"max_tokens":1,"messages":[{"role":"user","content":[
           {"type":"tool_use","id":"x","name":"f","input":{}}]}]})",
       "messages[0].content[0].type"},
      {R"({"max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]})",
       "messages[0].content[0].tool_use_id"},
      {R"({"max_tokens":1,"messages":[{"role":"assistant","content":"x"}]})", "messages"},
      {R"({"max_tokens":1,"system":"x","messages":[{"role":"assistant","content":[
           {"type":"text","text":"x"},{"type":"tool_use","id":"x","name":"a b","input":{}}]},
           {"role":"user","content":"x"}]})",
       "messages[0].content[1].name"},
      {R"({"messages":[{"role":"user","content":"x"}]})", "max_tokens"},
  };
  for (const auto& [body, param] : wrong) Refused(body, param);
  const std::pair<const char*, const char*> members[] = {
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":1,"system":5)", "system"},
      {R"("max_tokens":1,"stop_sequences":"x")", "stop_sequences"},
      {R"("max_tokens":1,"stop_sequences":[""])", "stop_sequences"},
      {R"("max_tokens":1,"top_k":-2)", "top_k"},
      {R"("max_tokens":1,"output_format":{"type":"text"})", "output_format.type"},
      {R"("max_tokens":1,"output_format":{"type":"json_schema","schema":{}},
          "output_config":{"format":{"type":"json_schema","schema":{}}})",
       "output_format.schema"},
      {R"("max_tokens":1,"tools":[{"name":"f"}])", "tools[0].input_schema"},
      {R"("max_tokens":1,"tools":[{"type":"bash_20250124","name":"bash"}])", "tools[0].type"},
      {R"("max_tokens":1,"tool_choice":{"type":"some"})", "tool_choice.type"},
      {R"("max_tokens":1,"tool_choice":{"type":"tool","name":"f"})", "tool_choice.name"},
      {R"("max_tokens":1,"thinking":{"type":"enabled","budget_tokens":1024})", "thinking"},
      {R"("max_tokens":1,"output_config":{"effort":"high"})", "output_config.effort"},
      {R"("max_tokens":1,"mcp_servers":[{}])", "mcp_servers"},
  };
  for (const auto& [more, param] : members) Refused(Request(more), param);
}

TEST_F(MessagesTest, J1_J2_J3_J4_BodiesThatAreNoObjects) {
  for (const char* body : {"", "{", "{} x", "[]", "null", "\"x\""}) {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_EQ(reply.json()["type"], "error");
    EXPECT_EQ(reply.json()["error"]["type"], "invalid_request_error");
  }
}

TEST_F(MessagesTest, P1_P2_Model) {
  Served(Request());
  Refused(Request(R"("max_tokens":1,"model":5)"), "model");
  Refused(Request(R"("max_tokens":1,"model":"")"), "model");
  for (const char* name : {"claude", "../../etc/passwd"}) {
    const RawReply reply =
        Post(kPath, Request(absl::StrCat(R"("max_tokens":1,"model":")", name, "\"")));
    EXPECT_EQ(reply.status, 404);
    EXPECT_EQ(reply.json()["error"]["type"], "not_found_error") << reply.body;
    EXPECT_THAT(reply.body, Not(HasSubstr("passwd")));
  }
}

TEST_F(MessagesTest, P11_P12_ContextLength) {
  const std::string body = absl::StrCat(R"("max_tokens":4,"messages":[{"role":"user","content":")",
                                        std::string(20'000, 'y'), "\"}]}");
  Refused("{" + body, "messages");
  Refused("{\"stream\":true," + body, "messages");
  Refused(Request(R"("max_tokens":100000)"), "max_tokens");
}

TEST_F(MessagesTest, P13_P17_P18_P26_KindsAndRanges) {
  for (const char* value : {"0", "-1", "1.5", "\"5\"", "true", "4294967297"}) {
    Refused(Request(absl::StrCat("\"max_tokens\":", value)), "max_tokens");
  }
  const std::pair<const char*, std::vector<const char*>> wrong[] = {
      {"temperature", {"-0.1", "2.1", "\"1\""}},
      {"top_p", {"0", "1.01", "\"1\""}},
      {"top_k", {"1.5", "9000000000"}},
      {"stream", {"\"true\"", "1"}},
      {"tools", {"{}", "5"}},
  };
  for (const auto& [name, values] : wrong) {
    for (const char* value : values) {
      Refused(Request(absl::StrCat("\"max_tokens\":1,\"", name, "\":", value)), name);
    }
  }
}

TEST_F(MessagesTest, P27_P28_Tools) {
  const auto tools = [](std::string_view list) {
    return Request(absl::StrCat(R"("max_tokens":1,"tools":[)", std::string(list), "]"));
  };
  const std::string rest = R"("input_schema":{"type":"object"}})";
  Refused(tools("5"), "tools[0]");
  for (const char* name : {"", "a b", "a.b"}) {
    Refused(tools(absl::StrCat(R"({"name":")", name, "\",", rest)), "tools[0].name");
  }
  Refused(tools(R"({"name":"f","input_schema":[]})"), "tools[0].input_schema");
  const std::string one = absl::StrCat(R"({"name":"f",)", rest);
  Refused(tools(absl::StrCat(one, ",", one)), "tools[1].name");
  std::string many = one;
  for (int i = 0; i < 128; ++i) absl::StrAppend(&many, R"(,{"name":"f)", i, "\",", rest);
  Refused(tools(many), "tools");
  Refused(
      tools(absl::StrCat(R"({"name":"f","description":")", std::string(200'000, 'x'), "\",", rest)),
      "tools");
  Refused(
      Request(absl::StrCat(R"("max_tokens":1,"tool_choice":{"type":"tool","name":"g"},)", kTool)),
      "tool_choice.name");
}

TEST_F(MessagesTest, P30_SchemaThatIsNotSupportedIsRefusedByItsPointer) {
  const RawReply reply = Post(
      kPath, Request(R"("max_tokens":1,"output_config":{"format":{"type":"json_schema","schema":
                        {"type":"object","properties":{"a":{"not":{}}}}}})"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body, HasSubstr("/properties/a/not"));
}

TEST_F(MessagesTest, S8_ErrorInMidStreamIsAnEvent) {
  RawClient client(tcp());
  client.Send(RequestText("POST", kPath,
                          Request(absl::StrCat(R"("stream":true,"max_tokens":1500,)", kLong))));
  client.ReceiveUntil("content_block_delta");
  daemon_->Drain(absl::ZeroDuration());
  const std::string rest = client.ReceiveUntil("0\r\n\r\n");
  EXPECT_THAT(rest, HasSubstr("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                              "\"overloaded_error\""));
  EXPECT_EQ(rest.find("message_stop"), std::string::npos);
  EXPECT_TRUE(client.Ends());
}

class MessagesKeyTest : public HttpTest {};

TEST_F(MessagesKeyTest, KeysAndRefusalsAreAsAnthropicsClientsKnowThem) {
  Start("secret\n");
  const std::string body = R"({"max_tokens":1,"messages":[]})";
  const RawReply none = Post(kPath, body);
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.json()["error"]["type"], "authentication_error");
  EXPECT_EQ(Post(kPath, body, "x-api-key: wrong\r\n").status, 401);
  EXPECT_EQ(Post(kPath, body, "x-api-key: secret\r\n").status, 400);
  EXPECT_EQ(Post(kPath, body, "x-api-key: secret\r\nAuthorization: Bearer wrong\r\n").status, 401);
  EXPECT_EQ(Get("/v1/models", "x-api-key: secret\r\n").status, 503);
  const RawReply method = Get(kPath, "x-api-key: secret\r\n");
  EXPECT_EQ(method.status, 405);
}

}  // namespace
}  // namespace hearth::server
