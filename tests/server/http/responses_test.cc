// /v1/responses on a small random model: what it writes is noise, so what it must write is forced.
#include <cstdlib>
#include <set>
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
using ::testing::StartsWith;

constexpr char kPath[] = "/v1/responses";
// No text that fits the limits ends by itself.
constexpr char kLong[] =
    R"("text":{"format":{"type":"json_schema","name":"long",
       "schema":{"type":"string","minLength":1000}}})";
constexpr char kTool[] =
    R"("tools":[{"type":"function","name":"f","strict":true,"parameters":
       {"type":"object","properties":{"a":{"enum":[1]}},"required":["a"],
        "additionalProperties":false}}])";

class ResponsesTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel(); }

  // A request with more members, e.g. R"("stream":true)".
  static std::string Request(std::string_view members = "") {
    return absl::StrCat(R"({"input":"hi")", members.empty() ? "" : ",", std::string(members), "}");
  }
  Json Served(std::string_view body) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply.json();
  }
  void Refused(std::string_view body, std::string_view param) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_EQ(reply.error("param"), param) << body << reply.body;
  }
  // The events of a stream, which must be numbered.
  std::vector<Json> Streamed(std::string_view members) const {
    const RawReply reply =
        Post(kPath, Request(absl::StrCat(R"("stream":true,)", std::string(members))));
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<Json> events;
    for (const std::string& data : Events(reply.body)) {
      events.push_back(Json::parse(data));
      EXPECT_EQ(events.back()["sequence_number"], events.size() - 1);
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
  static std::string Joined(const std::vector<Json>& events, std::string_view type) {
    std::string text;
    for (const Json& event : events) {
      if (event["type"] == type) text += event["delta"].get<std::string>();
    }
    return text;
  }
};

TEST_F(ResponsesTest, ReplyIsShapedAsOpenAIs) {
  const Json reply = Served(Request(
      R"("max_output_tokens":4,"instructions":"be brief","metadata":{"a":"b"},"temperature":0.5)"));
  EXPECT_THAT(reply["id"].get<std::string>(), StartsWith("resp_"));
  EXPECT_EQ(reply["object"], "response");
  EXPECT_EQ(reply["model"], "tiny");
  EXPECT_TRUE(reply["error"].is_null());
  ASSERT_EQ(reply["output"].size(), 1u);
  const Json& item = reply["output"][0];
  EXPECT_EQ(item["type"], "message");
  EXPECT_EQ(item["role"], "assistant");
  EXPECT_EQ(item["status"], reply["status"]);
  EXPECT_EQ(item["content"][0]["type"], "output_text");
  EXPECT_TRUE(item["content"][0]["text"].is_string());
  const Json& usage = reply["usage"];
  EXPECT_EQ(usage["total_tokens"],
            usage["input_tokens"].get<int>() + usage["output_tokens"].get<int>());
  EXPECT_EQ(reply["instructions"], "be brief");
  EXPECT_EQ(reply["metadata"], Json({{"a", "b"}}));
  EXPECT_EQ(reply["temperature"], 0.5);
  EXPECT_EQ(reply["top_p"], 1.0);
  EXPECT_EQ(reply["store"], false);
  EXPECT_TRUE(reply["previous_response_id"].is_null());
}

TEST_F(ResponsesTest, LimitLeavesItIncomplete) {
  const Json reply = Served(Request(absl::StrCat(R"("max_output_tokens":8,)", kLong)));
  EXPECT_EQ(reply["status"], "incomplete");
  EXPECT_EQ(reply["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(reply["output"][0]["status"], "incomplete");
}

TEST_F(ResponsesTest, EventsOfATextComeInOrder) {
  const std::vector<Json> events = Streamed(absl::StrCat(R"("max_output_tokens":20,)", kLong));
  EXPECT_THAT(Types(events),
              ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                          "response.content_part.added", "response.output_text.delta",
                          "response.output_text.done", "response.content_part.done",
                          "response.output_item.done", "response.incomplete"));
  const Json& last = events.back()["response"];
  const Json& part = last["output"][0]["content"][0];
  EXPECT_EQ(Joined(events, "response.output_text.delta"), part["text"]);
  EXPECT_EQ(events[events.size() - 4]["text"], part["text"]);
  EXPECT_EQ(events[events.size() - 2]["item"], last["output"][0]);
  EXPECT_EQ(events[2]["item"]["id"], last["output"][0]["id"]);
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(last["status"], "incomplete");
  EXPECT_EQ(last["usage"]["output_tokens"], 20);
}

TEST_F(ResponsesTest, StreamedResponseIsTheWholeOne) {
  const std::string logprobs = R"("temperature":0,"top_logprobs":1,)";
  for (const std::string& members :
       {absl::StrCat(logprobs, R"("max_output_tokens":12,)", kLong),
        absl::StrCat(logprobs, R"("max_output_tokens":60,"tool_choice":"required",)", kTool)}) {
    Json whole = Served(Request(members));
    Json streamed = Streamed(members).back()["response"];
    for (Json* response : {&whole, &streamed}) {
      (*response).erase("id");
      (*response).erase("created_at");
      (*response)["usage"].erase("input_tokens_details");
      for (Json& item : (*response)["output"]) {
        item.erase("id");
        item.erase("call_id");
      }
    }
    EXPECT_EQ(whole, streamed);
  }
}

// The one call of a response; white space may stand around it.
Json CallOf(const Json& response) {
  std::vector<Json> calls;
  for (const Json& item : response["output"]) {
    if (item["type"] == "function_call") calls.push_back(item);
  }
  EXPECT_EQ(calls.size(), 1u) << response;
  return calls.empty() ? Json() : calls[0];
}

TEST_F(ResponsesTest, ForcedCallIsAnItem) {
  const std::string members = absl::StrCat(kTool, R"(,"tool_choice":"required","temperature":0,
      "parallel_tool_calls":false,"max_output_tokens":200)");
  const Json call = CallOf(Served(Request(members)));
  EXPECT_EQ(call["name"], "f");
  EXPECT_EQ(Json::parse(call["arguments"].get<std::string>()), Json({{"a", 1}}));
  EXPECT_FALSE(call["call_id"].get<std::string>().empty());

  const std::vector<Json> events = Streamed(members);
  const Json streamed = CallOf(events.back()["response"]);
  EXPECT_EQ(streamed["arguments"], call["arguments"]);
  EXPECT_EQ(Joined(events, "response.function_call_arguments.delta"), call["arguments"]);
  for (const Json& event : events) {
    if (event["type"] != "response.function_call_arguments.done") continue;
    EXPECT_EQ(event["name"], call["name"]);
  }
  std::vector<std::string> types;
  for (const Json& event : events) {
    const Json item = event.value("item", Json::object());
    if (event.value("item_id", item.value("id", Json())) != streamed["id"]) continue;
    const std::string type = event["type"].get<std::string>();
    if (types.empty() || types.back() != type) types.push_back(type);
    if (type == "response.output_item.added") {
      EXPECT_EQ(item["arguments"], "");
    }
  }
  EXPECT_THAT(types,
              ElementsAre("response.output_item.added", "response.function_call_arguments.delta",
                          "response.function_call_arguments.done", "response.output_item.done"));
}

TEST_F(ResponsesTest, NamedAndAllowedTools) {
  const std::string two =
      R"("max_output_tokens":200,"parallel_tool_calls":false,"temperature":0,"tools":[
         {"type":"function","name":"f","parameters":{"type":"object","additionalProperties":false}},
         {"type":"function","name":"g","parameters":{"type":"object","additionalProperties":false}}],
         "tool_choice":)";
  for (const char* choice :
       {R"({"type":"function","name":"g"})",
        R"({"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]})"}) {
    EXPECT_EQ(CallOf(Served(Request(two + choice)))["name"], "g");
  }
}

// Whatever parallel_tool_calls says.
TEST_F(ResponsesTest, NamedToolIsCalledOnce) {
  for (int seed = 0; seed < 8; ++seed) {
    const std::string members =
        absl::StrCat(R"("max_output_tokens":200,"parallel_tool_calls":true,"temperature":)",
                     0.25 * seed, R"(,"tool_choice":{"type":"function","name":"f"},)", kTool);
    EXPECT_EQ(CallOf(Served(Request(members)))["name"], "f");
  }
}

// Items make the prompt that the same turns make in chat.
TEST_F(ResponsesTest, ItemsAreTheTurnsOfChat) {
  const Json reply = Served(R"({"max_output_tokens":1,"instructions":"s","input":[
      {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
      {"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[
        {"type":"output_text","text":"c","annotations":[],"logprobs":[]}]},
      {"type":"function_call","id":"fc_1","call_id":"x","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"x","output":"d"}]})");
  const RawReply chat = Post("/v1/chat/completions", R"({"max_tokens":1,"messages":[
      {"role":"system","content":"s"},{"role":"user","content":"ab"},
      {"role":"assistant","content":"c","tool_calls":[
        {"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"x","content":"d"}]})");
  ASSERT_EQ(chat.status, 200) << chat.body;
  EXPECT_EQ(reply["usage"]["input_tokens"], chat.json()["usage"]["prompt_tokens"]);
}

TEST_F(ResponsesTest, LogprobsOfEachToken) {
  const std::string members =
      R"("max_output_tokens":3,"temperature":0,"top_logprobs":2,
         "include":["message.output_text.logprobs"])";
  const Json reply = Served(Request(members));
  const Json& part = reply["output"][0]["content"][0];
  ASSERT_FALSE(part["logprobs"].empty()) << reply;
  for (const Json& token : part["logprobs"]) {
    EXPECT_LE(token["logprob"], 0);
    EXPECT_EQ(token["top_logprobs"].size(), 2u);
    for (const Json& other : token["top_logprobs"]) EXPECT_TRUE(other["bytes"].is_array());
  }
  std::vector<Json> streamed;
  for (const Json& event : Streamed(members)) {
    if (event["type"] != "response.output_text.delta") continue;
    for (const Json& token : event["logprobs"]) streamed.push_back(token);
  }
  EXPECT_EQ(Json(streamed), part["logprobs"]);
}

TEST_F(ResponsesTest, StateIsRefused) {
  Refused(Request(R"("previous_response_id":"resp_1")"), "previous_response_id");
  Refused(Request(R"("conversation":"conv_1")"), "conversation");
  Refused(Request(R"("background":true)"), "background");
  Refused(Request(R"("store":true)"), "store");
  Refused(R"({"input":[{"type":"item_reference","id":"msg_1"}]})", "input[0].type");
  Served(Request(R"("store":false,"background":false,"previous_response_id":null,
                    "max_output_tokens":1)"));
}

TEST_F(ResponsesTest, P3_P4_P5_P6_P13_P17_P25_P27_P28_P29_WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({})", "input"},
      {R"({"input":5})", "input"},
      {R"({"input":[]})", "input"},
      {R"({"input":[5]})", "input[0]"},
      {R"({"input":[{"type":"reasoning"}]})", "input[0].type"},
      {R"({"input":[{"role":"cat","content":"x"}]})", "input[0].role"},
      {R"({"input":[{"role":"user"}]})", "input[0].content"},
      {R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})",
       "input[0].content[0].type"},
      {R"({"input":[{"type":"function_call","call_id":"x","name":"f","arguments":"["}]})",
       "input[0].arguments"},
      {R"({"input":[{"type":"function_call_output","output":"x"}]})", "input[0].call_id"},
      {R"({"instructions":"x","input":[{"role":"user","content":"x"},
           {"type":"function_call","call_id":"x","name":"f","arguments":"{}"},
           {"type":"function_call","call_id":"x","name":"a b","arguments":"{}"}]})",
       "input[2].name"},
      {R"({"input":"x","instructions":5})", "instructions"},
      {R"({"input":"x","max_output_tokens":0})", "max_output_tokens"},
      {R"({"input":"x","max_output_tokens":100000})", "max_output_tokens"},
      {R"({"input":"x","temperature":3})", "temperature"},
      {R"({"input":"x","include":["x"]})", "include"},
      {R"({"input":"x","truncation":"maybe"})", "truncation"},
      {R"({"input":"x","top_logprobs":21})", "top_logprobs"},
      {R"({"input":"x","tools":[{"type":"web_search"}]})", "tools[0].type"},
      {R"({"input":"x","tools":[{"type":"function","name":"a b"}]})", "tools[0].name"},
      {R"({"input":"x","tool_choice":"required"})", "tool_choice"},
      {R"({"input":"x","tool_choice":{"type":"mcp"}})", "tool_choice.type"},
      {R"({"input":"x","tool_choice":{"type":"function"}})", "tool_choice.name"},
      {R"({"input":"x","tool_choice":{"type":"allowed_tools","mode":"none"}})", "tool_choice.mode"},
      {R"({"input":"x","text":{"format":{"type":"x"}}})", "text.format.type"},
      {R"({"input":"x","text":{"format":{"type":"json_schema","name":"x"}}})",
       "text.format.schema"},
      {R"({"input":"x","text":{"verbosity":"low"}})", "text.verbosity"},
      {R"({"input":"x","reasoning":{"effort":"high"}})", "reasoning.effort"},
  };
  for (const auto& [body, param] : wrong) Refused(body, param);
}

TEST_F(ResponsesTest, J1_J2_J3_J4_BodiesThatAreNoObjects) {
  for (const char* body : {"", "{", R"({"input":"x"} x)", "[]", "null", "\"x\""}) Refused(body, "");
}

TEST_F(ResponsesTest, P1_P2_Model) {
  Served(Request(R"("max_output_tokens":1)"));
  Refused(Request(R"("model":5)"), "model");
  Refused(Request(R"("model":"")"), "model");
  for (const char* name : {"gpt-5", "../../etc/passwd"}) {
    const RawReply reply = Post(kPath, Request(absl::StrCat(R"("model":")", name, "\"")));
    EXPECT_EQ(reply.status, 404);
    EXPECT_EQ(reply.error("param"), "model");
    EXPECT_EQ(reply.error("code"), "model_not_found");
  }
}

TEST_F(ResponsesTest, P11_InputsLongerThanTheContext) {
  for (const char* stream : {"false", "true"}) {
    const RawReply reply = Post(kPath, absl::StrCat("{\"stream\":", stream, ",\"input\":\"",
                                                    std::string(20'000, 'y'), "\"}"));
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.error("param"), "input");
    EXPECT_EQ(reply.error("code"), "context_length_exceeded");
  }
}

TEST_F(ResponsesTest, P13_P17_P18_P26_KindsAndRanges) {
  const std::pair<const char*, std::vector<const char*>> wrong[] = {
      {"max_output_tokens", {"0", "-1", "1.5", "\"5\"", "true", "4294967297"}},
      {"temperature", {"-0.1", "2.1", "\"1\""}},
      {"top_p", {"0", "1.01", "\"1\""}},
      {"stream", {"\"true\"", "1"}},
      {"tools", {"{}", "5"}},
      {"instructions", {"[]", "1"}},
  };
  for (const auto& [name, values] : wrong) {
    for (const char* value : values) Refused(Request(absl::StrCat("\"", name, "\":", value)), name);
  }
}

TEST_F(ResponsesTest, P27_P28_Tools) {
  const auto tool = [](std::string_view members) {
    return Request(absl::StrCat(R"("tools":[{"type":"function",)", std::string(members), "}]"));
  };
  Refused(Request(R"("tools":[5])"), "tools[0]");
  for (const char* name : {"", "a.b", "x\\n"}) {
    Refused(tool(absl::StrCat(R"("name":")", name, "\"")), "tools[0].name");
  }
  Refused(tool(R"("name":"f","parameters":[])"), "tools[0].parameters");
  Refused(tool(R"("name":"f"},{"type":"function","name":"f")"), "tools[1].name");
  std::string many = R"("name":"f")";
  for (int i = 0; i < 128; ++i) {
    absl::StrAppend(&many, R"(},{"type":"function","name":"f)", i, "\"");
  }
  Refused(tool(many), "tools");
  Refused(tool(absl::StrCat(R"("name":"f","description":")", std::string(200'000, 'x'), "\"")),
          "tools");
  Refused(Request(absl::StrCat(kTool, R"(,"tool_choice":{"type":"function","name":"g"})")),
          "tool_choice");
}

TEST_F(ResponsesTest, P30_SchemaThatIsNotSupportedIsRefusedByItsPointer) {
  const RawReply reply = Post(kPath, Request(R"("text":{"format":{"type":"json_schema","name":"x",
      "schema":{"type":"object","properties":{"a":{"not":{}}}}}})"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.error("param"), "text.format.schema");
  EXPECT_THAT(reply.error("message"), HasSubstr("/text/format/schema/properties/a/not: "));
}

TEST_F(ResponsesTest, S8_ErrorInMidStreamFailsTheResponse) {
  RawClient client(tcp());
  client.Send(RequestText(
      "POST", kPath, Request(absl::StrCat(R"("stream":true,"max_output_tokens":1500,)", kLong))));
  const std::string first = client.ReceiveUntil("response.output_text.delta");
  daemon_->Drain(absl::ZeroDuration());
  const std::string rest = client.ReceiveUntil("0\r\n\r\n");
  constexpr std::string_view kNumber = R"("sequence_number":)";
  const std::string all = first + rest;
  int number = 0;
  for (size_t at = 0; (at = all.find(kNumber, at)) != all.npos; at += kNumber.size()) {
    EXPECT_EQ(std::atoi(all.c_str() + at + kNumber.size()), number++);
  }
  EXPECT_THAT(rest, HasSubstr("event: response.failed\n"));
  EXPECT_THAT(rest, HasSubstr(R"("status":"failed","error":{"code":"server_error")"));
  EXPECT_EQ(rest.find("response.completed"), std::string::npos);
  EXPECT_TRUE(client.Ends());
}

TEST_F(ResponsesTest, J18_UnknownFieldsAreNamed) {
  const RawReply reply = Post(kPath, R"({"input":[{"role":"user","content":"x","mood":1}],
                                         "frob":1,"max_output_tokens":1})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("x-hearth-ignored"), "input[0].mood, frob");
}

}  // namespace
}  // namespace hearth::server
