// /v1/completions: several prompts, echo and log-probabilities, on the demo model.
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

constexpr char kPath[] = "/v1/completions";

class CompletionsTest : public HttpTest {
 protected:
  void SetUp() override {
    config_.set_model(HEARTH_SOURCE_DIR "/deploy/demo/hearth-demo-q8_0.gguf");
    StartWithModel();
  }

  static std::string Body(std::string_view prompt, std::string_view members = "") {
    return absl::StrCat(R"({"temperature":0,"max_tokens":6,"prompt":)", std::string(prompt),
                        members.empty() ? "" : ",", std::string(members), "}");
  }
  Json Reply(std::string_view body) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply.json();
  }
  RawReply Refused(std::string_view body, std::string_view param) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_EQ(reply.error("param"), param) << body << reply.body;
    return reply;
  }
};

TEST_F(CompletionsTest, EachPromptHasItsChoices) {
  const auto reply = [this](std::string_view prompt) {
    return Reply(
        absl::StrCat(R"({"max_tokens":6,"n":2,"seed":3,"prompt":)", std::string(prompt), "}"));
  };
  const Json a = reply(R"("What is")");
  const Json b = reply(R"("The boiler")");
  const Json both = reply(R"(["What is","The boiler"])");
  ASSERT_EQ(both["choices"].size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(both["choices"][i]["index"], i);
    EXPECT_EQ(both["choices"][i]["text"], (i < 2 ? a : b)["choices"][i % 2]["text"]);
  }
  EXPECT_EQ(both["usage"]["prompt_tokens"],
            a["usage"]["prompt_tokens"].get<int>() + b["usage"]["prompt_tokens"].get<int>());
  EXPECT_EQ(both["usage"]["completion_tokens"], a["usage"]["completion_tokens"].get<int>() +
                                                    b["usage"]["completion_tokens"].get<int>());
}

TEST_F(CompletionsTest, TextsAndIdsMayBeMixed) {
  const std::vector<TokenId> ids = daemon_->engine().tokenizer().Encode("What is");
  const std::string list = absl::StrCat("[", absl::StrJoin(ids, ","), "]");
  const Json reply = Reply(Body(absl::StrCat("[\"What is\",", list, "]")));
  ASSERT_EQ(reply["choices"].size(), 2u);
  EXPECT_EQ(reply["choices"][0]["text"], reply["choices"][1]["text"]);
  EXPECT_EQ(Reply(Body(list))["choices"][0]["text"], reply["choices"][0]["text"]);
}

TEST_F(CompletionsTest, StreamedPromptsAreTheWholeOnes) {
  const std::string prompts = R"(["What is","The boiler","Who"])";
  const Json whole = Reply(Body(prompts));
  std::vector<std::string> texts(3);
  for (const std::string& event : Events(Post(kPath, Body(prompts, R"("stream":true)")).body)) {
    if (event == "[DONE]") continue;
    const Json choice = Json::parse(event)["choices"][0];
    texts[choice["index"].get<int>()] += choice["text"].get<std::string>();
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(texts[i], whole["choices"][i]["text"]);
}

TEST_F(CompletionsTest, P8_P9_ListsOfPrompts) {
  for (const char* prompt : {"[]", "[[]]", R"(["a",[]])", R"(["a",5])", "[[1],[-1]]", "[[1,\"a\"]]",
                             "[null]", "[[[1]]]"}) {
    Refused(Body(prompt), "prompt");
  }
  std::string many = "[\"a\"";
  for (int i = 0; i < 64; ++i) many += ",\"a\"";
  Refused(Body(many + "]"), "prompt");
}

TEST_F(CompletionsTest, AnEchoComesFirst) {
  const std::string plain = Reply(Body(R"("What is 47")"))["choices"][0]["text"];
  EXPECT_EQ(Reply(Body(R"("What is 47")", R"("echo":true)"))["choices"][0]["text"],
            "What is 47" + plain);
  const Json alone = Reply(R"({"prompt":"What is 47","max_tokens":0,"echo":true})");
  EXPECT_EQ(alone["choices"][0]["text"], "What is 47");
  EXPECT_EQ(alone["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(alone["usage"]["completion_tokens"], 0);
  Refused(R"({"prompt":"a","max_tokens":0})", "max_tokens");
  Refused(Body("\"a\"", R"("echo":1)"), "echo");
}

// What evaluation harnesses read: the log-probability of each token of a given continuation.
TEST_F(CompletionsTest, EchoedTokensHaveLogprobs) {
  const std::string text = "What is 47 + 36?";
  const std::vector<TokenId> ids = daemon_->engine().tokenizer().Encode(text);
  const Json reply =
      Reply(absl::StrCat(R"({"prompt":")", text, R"(","max_tokens":0,"echo":true,"logprobs":2})"));
  const Json& logprobs = reply["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["tokens"].size(), ids.size());
  std::string joined;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string token = logprobs["tokens"][i];
    EXPECT_EQ(logprobs["text_offset"][i], joined.size());
    joined += token;
    if (i == 0) {
      EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
      EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
      continue;
    }
    EXPECT_LE(logprobs["token_logprobs"][i], 0.0);
    EXPECT_GE(logprobs["top_logprobs"][i].size(), 2u);
    EXPECT_EQ(logprobs["top_logprobs"][i][token], logprobs["token_logprobs"][i]);
  }
  EXPECT_EQ(joined, text);
}

// Tokens that split a character stand where that character does.
TEST_F(CompletionsTest, OffsetsAreOfTheText) {
  const Json choice = Reply(R"({"prompt":"a\u00e9\ud83d\ude42 b","max_tokens":24,"echo":true,
      "logprobs":1,"temperature":2,"seed":3})")["choices"][0];
  const std::string text = choice["text"];
  std::vector<size_t> starts;  // of characters, in bytes
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80) starts.push_back(i);
  }
  const Json& logprobs = choice["logprobs"];
  int64_t last = 0;
  for (size_t i = 0; i < logprobs["tokens"].size(); ++i) {
    const int64_t offset = logprobs["text_offset"][i];
    EXPECT_GE(offset, last);
    last = offset;
    const std::string token = logprobs["tokens"][i];
    if (token.rfind("bytes:", 0) == 0 || token.rfind("<|", 0) == 0) continue;
    ASSERT_LE(offset, static_cast<int64_t>(starts.size()));
    if (offset == static_cast<int64_t>(starts.size())) continue;
    EXPECT_EQ(text.compare(starts[offset], token.size(), token), 0) << i << " " << choice;
  }
}

// Token by token the same as when the model writes it itself.
TEST_F(CompletionsTest, EchoedLogprobsAreThoseOfTheOutput) {
  const Json written = Reply(Body(R"("What is")", R"("logprobs":1,"echo":true)"))["choices"][0];
  const std::string text = written["text"];
  const Json echoed =
      Reply(absl::StrCat(R"({"prompt":)", Json(text).dump(),
                         R"(,"max_tokens":0,"logprobs":1,"echo":true})"))["choices"][0];
  // Where the text splits into the same tokens.
  if (echoed["logprobs"]["tokens"] == written["logprobs"]["tokens"]) {
    EXPECT_EQ(echoed["logprobs"], written["logprobs"]);
  }
  Json streamed = {{"tokens", Json::array()}, {"text_offset", Json::array()}};
  for (const std::string& event : Events(
           Post(kPath, Body(R"("What is")", R"("logprobs":1,"echo":true,"stream":true)")).body)) {
    if (event == "[DONE]") continue;
    const Json chunk = Json::parse(event)["choices"][0]["logprobs"];
    if (chunk.is_null()) continue;
    for (const char* name : {"tokens", "text_offset"}) {
      for (const Json& value : chunk[name]) streamed[name].push_back(value);
    }
  }
  EXPECT_EQ(streamed["tokens"], written["logprobs"]["tokens"]);
  EXPECT_EQ(streamed["text_offset"], written["logprobs"]["text_offset"]);
}

TEST_F(CompletionsTest, P25_Logprobs) {
  for (const char* value : {"21", "-1", "true", "\"2\"", "1.5"}) {
    Refused(Body("\"a\"", absl::StrCat("\"logprobs\":", value)), "logprobs");
  }
  Refused(Body("\"a\"", R"("top_logprobs":1)"), "top_logprobs");
  EXPECT_TRUE(Reply(Body("\"a\""))["choices"][0]["logprobs"].is_null());
}

TEST_F(CompletionsTest, P16_BestOfAndSuffixAreRefused) {
  EXPECT_EQ(Refused(Body("\"a\"", R"("best_of":2)"), "best_of").error("code"),
            "unsupported_parameter");
  EXPECT_EQ(Refused(Body("\"a\"", R"("suffix":"x")"), "suffix").error("code"),
            "unsupported_parameter");
}

TEST_F(CompletionsTest, ConstraintsHold) {
  EXPECT_THAT(Reply(Body(R"("a")", R"("guided_regex":"[0-9]{3}")"))["choices"][0]["text"]
                  .get<std::string>(),
              testing::MatchesRegex("[0-9][0-9][0-9]"));
  Refused(Body(R"("a")", R"("tools":[])"), "tools");
}

TEST_F(CompletionsTest, TheBeginningIsLeftOutOnlyWhereAskedFor) {
  const std::vector<TokenId> end = daemon_->engine().tokenizer().Encode("What is 47 + 36?");
  std::vector<TokenId> ids(3000, end.front());
  ids.insert(ids.end(), end.begin(), end.end());
  const std::string list = absl::StrCat("[", absl::StrJoin(ids, ","), "]");
  EXPECT_EQ(Refused(Body(list), "prompt").error("code"), "context_length_exceeded");
  const Json reply = Reply(Body(list, R"("truncation":"auto")"));
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 2048 - 6);
  std::string text = "What";
  for (int i = 0; i < 30'000; ++i) text += " is";
  EXPECT_EQ(Reply(Body(absl::StrCat("\"", text, "\""),
                       R"("truncation":"auto")"))["usage"]["prompt_tokens"],
            2048 - 6);
}

}  // namespace
}  // namespace hearth::server
