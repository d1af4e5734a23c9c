// Whole replies, and rows P of the catalogue, on a small random model.
#include "server/http/generation.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kChatPath[] = "/v1/chat/completions";
constexpr char kTextPath[] = "/v1/completions";

class GenerationTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel(); }

  // A chat request with more members, e.g. R"("n":2)".
  static std::string Chat(std::string_view members = "") {
    return absl::StrCat(R"({"messages":[{"role":"user","content":"hi"}])",
                        members.empty() ? "" : ",", std::string(members), "}");
  }
  static std::string Text(std::string_view members) {
    return absl::StrCat(R"({"prompt":"a b",)", std::string(members), "}");
  }

  RawReply Refused(std::string_view path, std::string_view body, std::string_view param) const {
    const RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_EQ(reply.error("param"), param) << body << reply.body;
    EXPECT_EQ(reply.error("type"), "invalid_request_error");
    return reply;
  }
  void RefusedByBoth(std::string_view members, std::string_view param) const {
    Refused(kChatPath, Chat(members), param);
    Refused(kTextPath, Text(members), param);
  }
  RawReply Served(std::string_view path, std::string_view body) const {
    RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply;
  }
};

TEST_F(GenerationTest, ChatReplyIsShapedAsOpenAIs) {
  const Json reply =
      Served(kChatPath, Chat(R"("model":"tiny","max_tokens":5,"n":2,"seed":1)")).json();
  EXPECT_THAT(reply["id"].get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["model"], "tiny");
  EXPECT_GT(reply["created"], 1'600'000'000);
  EXPECT_THAT(reply["system_fingerprint"].get<std::string>(), StartsWith("fp_"));
  ASSERT_EQ(reply["choices"].size(), 2u);
  for (int i = 0; i < 2; ++i) {
    const Json& choice = reply["choices"][i];
    EXPECT_EQ(choice["index"], i);
    EXPECT_EQ(choice["message"]["role"], "assistant");
    EXPECT_TRUE(choice["message"]["content"].is_string());
    EXPECT_TRUE(choice["message"]["refusal"].is_null());
    EXPECT_TRUE(choice["logprobs"].is_null());
    EXPECT_TRUE(choice["finish_reason"] == "length" || choice["finish_reason"] == "stop");
  }
  const Json& usage = reply["usage"];
  EXPECT_GT(usage["prompt_tokens"], 0);
  EXPECT_LE(usage["completion_tokens"], 10);
  EXPECT_EQ(usage["total_tokens"],
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
  EXPECT_TRUE(usage["prompt_tokens_details"]["cached_tokens"].is_number());
}

TEST_F(GenerationTest, CompletionReplyIsShapedAsOpenAIs) {
  const Json reply = Served(kTextPath, Text(R"("max_tokens":3,"temperature":0)")).json();
  EXPECT_THAT(reply["id"].get<std::string>(), StartsWith("cmpl-"));
  EXPECT_EQ(reply["object"], "text_completion");
  ASSERT_EQ(reply["choices"].size(), 1u);
  EXPECT_TRUE(reply["choices"][0]["text"].is_string());
  EXPECT_TRUE(reply["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(reply["choices"][0].count("message"), 0u);
}

TEST_F(GenerationTest, SameSeedSameText) {
  const std::string body = Text(R"("max_tokens":8,"seed":-7,"temperature":1)");
  EXPECT_EQ(Served(kTextPath, body).json()["choices"], Served(kTextPath, body).json()["choices"]);
}

TEST_F(GenerationTest, ModelsAreListedAndFound) {
  const Json list = Get("/v1/models").json();
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1u);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(Get("/v1/models/tiny").json(), list["data"][0]);
  EXPECT_EQ(Get("/v1/models/%74iny").status, 200);
  const RawReply other = Get("/v1/models/..%2fpasswd");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.error("code"), "model_not_found");
  EXPECT_EQ(Get("/ready").status, 200);
}

TEST_F(GenerationTest, J13_P1_P2_Model) {
  Served(kTextPath, R"({"prompt":"","temperature":0,"max_tokens":3})");
  for (const char* name : {"gpt-5", "../../etc/passwd"}) {
    const RawReply reply = Post(kChatPath, Chat(absl::StrCat(R"("model":")", name, "\"")));
    EXPECT_EQ(reply.status, 404);
    EXPECT_EQ(reply.error("param"), "model");
    EXPECT_EQ(reply.error("code"), "model_not_found");
  }
  RefusedByBoth(R"("model":5)", "model");
  RefusedByBoth(R"("model":"")", "model");
  RefusedByBoth(R"("model":"a\u0000")", "model");
}

TEST_F(GenerationTest, P3_P4_P5_P6_Messages) {
  const auto refused = [this](std::string_view messages, std::string_view param) {
    return Refused(kChatPath, absl::StrCat("{\"messages\":", std::string(messages), "}"), param);
  };
  Refused(kChatPath, "{}", "messages");
  refused("[]", "messages");
  refused("{}", "messages");
  refused("\"hi\"", "messages");
  refused("[5]", "messages[0]");
  refused(R"([{"content":"x"}])", "messages[0].role");
  refused(R"([{"role":"user","content":"a"},{"role":"wizard","content":"b"}])", "messages[1].role");
  refused(R"([{"role":7,"content":"x"}])", "messages[0].role");
  refused(R"([{"role":"user"}])", "messages[0].content");
  for (const char* content : {"null", "5", "[]", "{}", "true"}) {
    refused(absl::StrCat(R"([{"role":"user","content":)", content, "}]"), "messages[0].content");
  }
  refused(R"([{"role":"user","content":["a"]}])", "messages[0].content[0]");
  refused(R"([{"role":"user","content":[{"text":"a"}]}])", "messages[0].content[0].type");
  refused(R"([{"role":"user","content":[{"type":"text","text":1}]}])",
          "messages[0].content[0].text");
  for (const char* type : {"image_url", "input_audio", "file"}) {
    const RawReply reply =
        refused(absl::StrCat(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":")",
                             type, R"("}]}])"),
                "messages[0].content[1].type");
    EXPECT_EQ(reply.error("code"), "unsupported_value");
  }
  refused(R"([{"role":"user","content":"x","name":5}])", "messages[0].name");
  refused(R"([{"role":"assistant","content":"x","function_call":{"name":"a"}}])",
          "messages[0].function_call");
}

TEST_F(GenerationTest, MessagesMayBePartsAndCarryWhatSdksSendBack) {
  const Json whole =
      Served(kChatPath,
             R"({"messages":[{"role":"user","content":"ab"}],"max_tokens":4,"temperature":0})")
          .json();
  const Json parts = Served(kChatPath,
                            R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
                 {"type":"text","text":"b"}]}],"max_tokens":4,"temperature":0})")
                         .json();
  EXPECT_EQ(whole["choices"], parts["choices"]);
  Served(
      kChatPath,
      R"({"messages":[{"role":"developer","content":"s"},{"role":"user","name":"bob","content":"u"},
             {"role":"assistant","content":"a","refusal":null,"tool_calls":null,"audio":null,
              "annotations":[]},{"role":"user","content":"v"}],"max_tokens":1})");
}

TEST_F(GenerationTest, P7_TooManyMessages) {
  std::string messages = R"({"role":"user","content":"x"})";
  for (int i = 0; i < 10'000; ++i) messages += R"(,{"role":"user","content":"x"})";
  Refused(kChatPath, absl::StrCat("{\"messages\":[", messages, "]}"), "messages");
}

TEST_F(GenerationTest, P8_P9_Prompts) {
  const auto refused = [this](std::string_view prompt) {
    Refused(kTextPath, absl::StrCat("{\"max_tokens\":2,\"prompt\":", std::string(prompt), "}"),
            "prompt");
  };
  Refused(kTextPath, "{}", "prompt");
  for (const char* prompt : {"null", "5", "{}", "[]", "[1,\"a\"]", "[1.5]", "[true]", "[-1]",
                             "[2147483648]", "[9223372036854775808]", "[1000000]"}) {
    refused(prompt);
  }
  for (const char* prompt :
       {R"("")", R"("  \n")", R"(["a"])", R"([""])", "[3,4,5]", R"(["a","b"])", "[[1,2],[3]]"}) {
    Served(kTextPath, absl::StrCat("{\"max_tokens\":2,\"prompt\":", prompt, "}"));
  }
}

TEST_F(GenerationTest, P11_P12_ContextLength) {
  std::string ids = "3";
  for (int i = 0; i < 3000; ++i) ids += ",3";
  const RawReply reply = Refused(kTextPath, absl::StrCat("{\"prompt\":[", ids, "]}"), "prompt");
  EXPECT_EQ(reply.error("code"), "context_length_exceeded");
  EXPECT_EQ(Refused(kTextPath, Text(R"("max_tokens":100000)"), "max_tokens").error("code"),
            "context_length_exceeded");
}

TEST_F(GenerationTest, P13_P14_MaxTokens) {
  for (const char* value : {"0", "-1", "1.5", "\"5\"", "true", "4294967297", "9223372036854775807",
                            "9223372036854775808", "[1]"}) {
    RefusedByBoth(absl::StrCat("\"max_tokens\":", value), "max_tokens");
    Refused(kChatPath, Chat(absl::StrCat("\"max_completion_tokens\":", value)),
            "max_completion_tokens");
  }
  Refused(kChatPath, Chat(R"("max_tokens":4,"max_completion_tokens":5)"), "max_completion_tokens");
  Served(kChatPath, Chat(R"("max_tokens":4,"max_completion_tokens":4)"));
  Refused(kTextPath, Text(R"("max_completion_tokens":4)"), "max_completion_tokens");
}

TEST_F(GenerationTest, P15_P17_P18_P19_P20_P21_Numbers) {
  struct Case {
    const char* name;
    std::vector<const char*> values;
  };
  const Case cases[] = {
      {"n", {"0", "-1", "5", "2147483648", "4294967297", "1.9", "true", "\"1\""}},
      {"temperature", {"-0.1", "2.1", "1e308", "\"0.7\"", "false"}},
      {"top_p", {"0", "-1", "1.01", "\"1\""}},
      {"top_k", {"-2", "1.5", "9000000000"}},
      {"min_p", {"2", "-0.5"}},
      {"repetition_penalty", {"0", "-1", "2.5"}},
      {"presence_penalty", {"2.01", "-2.01"}},
      {"frequency_penalty", {"2.01", "-2.01", "[]"}},
      {"seed", {"18446744073709551616", "9223372036854775808", "1.5", "\"1\""}},
  };
  for (const Case& c : cases) {
    for (const char* value : c.values) {
      RefusedByBoth(absl::StrCat("\"max_tokens\":1,\"", c.name, "\":", value), c.name);
    }
  }
  Served(kChatPath, Chat(R"("max_tokens":1,"temperature":2,"top_p":1,"top_k":5,"min_p":0.5,
      "repetition_penalty":1.1,"presence_penalty":-2,"frequency_penalty":2,"seed":-1,"n":4)"));
}

// As vLLM has it.
TEST_F(GenerationTest, P18_TopKOfMinusOneIsOff) {
  const auto text = [this](const char* top_k) {
    return Served(kTextPath, Text(std::string(R"("max_tokens":8,"seed":1,"top_k":)") + top_k))
        .json()["choices"][0]["text"];
  };
  EXPECT_EQ(text("-1"), text("0"));
}

TEST_F(GenerationTest, MoreChoicesThanCanBeQueuedAreRefused) {
  std::string prompts = R"({"max_tokens":1,"n":4,"prompt":["a")";
  for (int i = 1; i < 64; ++i) prompts += R"(,"a")";
  Refused(kTextPath, prompts + "]}", "prompt");
}

// More than the engine takes at once.
TEST_F(GenerationTest, ManyEmbeddings) {
  std::string inputs = R"({"input":["a")";
  for (int i = 1; i < 300; ++i) absl::StrAppend(&inputs, R"(,"a)", i, "\"");
  const Json reply = Served("/v1/embeddings", inputs + "]}").json();
  ASSERT_EQ(reply["data"].size(), 300u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(reply["data"][i]["index"], i);
  for (int i = 300; i < 2049; ++i) inputs += R"(,"a")";
  Refused("/v1/embeddings", inputs + "]}", "input");
}

TEST_F(GenerationTest, J13_P22_P24_StopAndLogitBias) {
  for (const char* stop :
       {R"(["a","b","c","d","e"])", R"("")", R"([""])", "[1]", "5", "{}", R"("a\u0000")"}) {
    RefusedByBoth(absl::StrCat("\"stop\":", stop), "stop");
  }
  RefusedByBoth(absl::StrCat("\"stop\":\"", std::string(10'240, 'x'), "\""), "stop");
  std::string many = "{";
  for (int i = 0; i < 9'999; ++i) absl::StrAppend(&many, i > 0 ? "," : "", "\"", i, "\":1");
  const std::string biases[] = {R"({"abc":1})", R"({"-1":1})",  R"({"1000000":1})", R"({"1e3":1})",
                                R"({"":1})",    R"({"3":101})", R"({"3":-101})",    R"({"3":"1"})",
                                "[]",           many + "}"};
  for (const std::string& bias : biases) {
    RefusedByBoth(absl::StrCat("\"logit_bias\":", bias), "logit_bias");
  }
  Served(kTextPath, Text(R"("max_tokens":2,"stop":["x","y"],"logit_bias":{"3":-100,"4":5.5})"));
}

TEST_F(GenerationTest, P26_StreamAndItsOptions) {
  for (const char* value : {"\"true\"", "1", "{}"}) {
    RefusedByBoth(absl::StrCat("\"stream\":", value), "stream");
  }
  RefusedByBoth(R"("stream_options":{"include_usage":true})", "stream_options");
  RefusedByBoth(R"("stream":true,"stream_options":5)", "stream_options");
  RefusedByBoth(R"("stream":true,"stream_options":{"include_usage":1})",
                "stream_options.include_usage");
}

TEST_F(GenerationTest, P32_UnsupportedFieldsAreNamed) {
  for (const char* name : {"functions", "grammar", "guided_grammar", "chat_template", "best_of"}) {
    const RawReply reply =
        Refused(kChatPath, Chat(absl::StrCat("\"", name, "\":[{\"a\":1}]")), name);
    EXPECT_EQ(reply.error("code"), "unsupported_parameter");
  }
}

TEST_F(GenerationTest, P35_NullIsAbsentInServedFields) {
  Served(kChatPath, Chat(R"("max_tokens":1,"max_completion_tokens":null,"n":null,"stop":null,
      "seed":null,"temperature":null,"top_p":null,"logit_bias":null,"stream":null,
      "stream_options":null,"model":null,"top_k":null,"tools":null,"user":null)"));
}

TEST_F(GenerationTest, P36_TimeoutHeader) {
  for (const char* value : {"0", "-1", "x", "1.5", ""}) {
    const RawReply reply =
        Post(kChatPath, Chat(), absl::StrCat("X-Hearth-Timeout-Ms: ", value, "\r\n"));
    EXPECT_EQ(reply.status, 400) << value;
    EXPECT_EQ(reply.error("param"), "x-hearth-timeout-ms");
  }
  EXPECT_EQ(
      Post(kChatPath, Chat(R"("max_tokens":1)"), "X-Hearth-Timeout-Ms: 1000000000000\r\n").status,
      200);
}

// It would take as long again.
TEST_F(GenerationTest, SdksAreToldNotToRetryATimeout) {
  const std::string body = Text(R"("max_tokens":1900,)" + Endless());
  const RawReply reply = Post(kTextPath, body, "X-Hearth-Timeout-Ms: 1\r\n");
  EXPECT_EQ(reply.status, 504) << reply.body;
  EXPECT_EQ(reply.headers.at("x-should-retry"), "false");
}

// What another endpoint would follow is not left out unseen.
TEST_F(GenerationTest, J18_FieldsOfOtherEndpointsAreRefused) {
  const std::pair<const char*, const char*> bodies[] = {
      {"/v1/responses", R"({"input":"a","response_format":{"type":"text"}})"},
      {"/v1/responses", R"({"input":"a","max_tokens":2})"},
      {"/v1/messages", R"({"max_tokens":1,"messages":[{"role":"user","content":"a"}],"n":2})"},
      {"/v1/embeddings", R"({"input":"a","temperature":1})"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"system":"b"})"},
      {"/v1/completions", R"({"prompt":"a","max_tokens":1,"max_output_tokens":1})"},
  };
  for (const auto& [path, body] : bodies) {
    const RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 400) << path << body;
    EXPECT_THAT(reply.body, HasSubstr("is not a field of this endpoint")) << path << body;
  }
}

TEST_F(GenerationTest, EchoedLogprobsAreBounded) {
  std::string ids = "3";
  for (int i = 1; i < 2000; ++i) ids += ",3";
  std::string prompts = "[" + ids + "]";
  for (int i = 1; i < 16; ++i) prompts += ",[" + ids + "]";
  Refused(kTextPath,
          absl::StrCat(R"({"prompt":[)", prompts, R"(],"echo":true,"logprobs":20,"max_tokens":0})"),
          "logprobs");
}

TEST_F(GenerationTest, J18_UnknownFieldsAreIgnoredAndNamed) {
  const RawReply reply = Served(kChatPath, Chat(R"("max_tokens":1,"frob\r\nX: 1":2,"zap":null)"));
  EXPECT_EQ(reply.headers.at("x-hearth-ignored"), "frob??X??1, zap");
  EXPECT_EQ(Served(kChatPath, Chat(R"("max_tokens":1)")).headers.count("x-hearth-ignored"), 0u);
}

TEST_F(GenerationTest, J18_UnknownMembersAreNamedWithTheirPath) {
  const char* body = R"({"messages":[{"role":"user","content":[
      {"type":"text","text":"a","cache_control":{}}],"mood":1}],"max_tokens":1,"stream":true,
      "stream_options":{"include_usage":true,"frob":2},"messages[].role":3})";
  EXPECT_EQ(Served(kChatPath, body).headers.at("x-hearth-ignored"),
            "messages[0].content[0].cache_control, messages[0].mood, stream_options.frob, "
            "messages[].role");
}

TEST_F(GenerationTest, KnownMembersThatAreNotServedAreRefusedByPath) {
  const RawReply reply =
      Refused(kChatPath, Chat(R"("stream":true,"stream_options":{"include_obfuscation":true})"),
              "stream_options.include_obfuscation");
  EXPECT_EQ(reply.error("code"), "unsupported_parameter");
  const char* audio = R"({"messages":[{"role":"user","content":"a"},
      {"role":"assistant","content":"b","audio":{"id":"x"}}]})";
  Refused(kChatPath, audio, "messages[1].audio");
}

TEST_F(GenerationTest, J13_NulInContentIsText) {
  const auto prompt_tokens = [this](std::string_view content) {
    return Served(kChatPath,
                  absl::StrCat(R"({"max_tokens":1,"messages":[{"role":"user","content":")",
                               std::string(content), "\"}]}"))
        .json()["usage"]["prompt_tokens"]
        .get<int>();
  };
  EXPECT_GT(prompt_tokens("a\\u0000b"), prompt_tokens("a"));
}

// The vocabulary's size is the first id that it does not have.
TEST_F(GenerationTest, P9_P24_TheEndOfTheVocabulary) {
  const int64_t size = daemon_->engine().info().vocab_size;
  const auto with = [](std::string_view begin, int64_t id, std::string_view end) {
    return absl::StrCat("\"max_tokens\":1,", std::string(begin), id, std::string(end));
  };
  const auto prompt = [](int64_t id) {
    return absl::StrCat(R"({"max_tokens":1,"prompt":[3,)", id, "]}");
  };
  Refused(kTextPath, prompt(size), "prompt");
  Served(kTextPath, prompt(size - 1));
  RefusedByBoth(with(R"("logit_bias":{")", size, R"(":1})"), "logit_bias");
  Served(kTextPath, Text(with(R"("logit_bias":{")", size - 1, R"(":1})")));
  RefusedByBoth(with(R"("stop_token_ids":[)", size, "]"), "stop_token_ids");
  Served(kTextPath, Text(with(R"("stop_token_ids":[)", size - 1, "]")));
  // It is a count: as many as there are may be drawn from.
  RefusedByBoth(with(R"("top_k":)", size + 1, ""), "top_k");
  Served(kTextPath, Text(with(R"("top_k":)", size, "")));
}

TEST_F(GenerationTest, F16_ClientThatLeavesCancelsItsGeneration) {
  for (const bool reset : {false, true}) {
    RawClient client(tcp());
    client.Send(RequestText("POST", kTextPath, Text(R"("max_tokens":1900,)" + Endless())));
    ASSERT_TRUE(Eventually([&] { return daemon_->live_tasks() == 1; }));
    if (reset) {
      client.Reset();
    } else {
      client.HalfClose();
    }
    ASSERT_TRUE(Eventually([&] { return daemon_->live_tasks() == 0; }));
  }
  EXPECT_LT(daemon_->engine().stats().tokens_generated, 2 * 1900u);  // one was cut at least
  ASSERT_TRUE(Eventually([&] { return daemon_->engine().stats().running == 0; }));
}

TEST_F(GenerationTest, F2_DrainLetsAReplyFinishAndRefusesTheNext) {
  RawClient client(tcp());
  RawClient late(tcp());
  late.Send(RequestText("GET", "/health"));
  EXPECT_EQ(late.Receive().status, 200);
  client.Send(RequestText("POST", kTextPath, Text(R"("max_tokens":500,)" + Endless())));
  ASSERT_TRUE(Eventually([&] { return daemon_->live_tasks() == 1; }));
  daemon_->Drain(absl::Seconds(20));
  late.Send(RequestText("POST", kTextPath, Text(R"("max_tokens":1)")));
  EXPECT_EQ(late.Receive().error("code"), "draining");
  EXPECT_EQ(Get("/ready").error("code"), "draining");
  EXPECT_EQ(client.Receive().status, 200);
  server_->Drain(absl::Seconds(5));
}

}  // namespace
}  // namespace hearth::server
