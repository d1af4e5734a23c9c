// /tokenize, /detokenize and /apply-template.
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class TokenizeTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel(); }

  Json Served(std::string_view path, std::string_view body) const {
    const RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 200) << body << reply.body;
    return reply.json();
  }
  void Refused(std::string_view path, std::string_view body, std::string_view param) const {
    const RawReply reply = Post(path, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_EQ(reply.error("param"), param) << body << reply.body;
  }
};

TEST_F(TokenizeTest, RoundTrips) {
  for (const std::string text : {"", "hello world", " leading", "é 漢 🙂\n\ttab", "<|end|>"}) {
    const Json tokens = Served("/tokenize", DumpJson({{"content", text}}));
    EXPECT_EQ(tokens["count"], tokens["tokens"].size());
    EXPECT_EQ(tokens["max_model_len"], daemon_->engine().info().max_context);
    const Json back = Served("/detokenize", DumpJson({{"tokens", tokens["tokens"]}}));
    EXPECT_EQ(back["content"], text);
    EXPECT_EQ(back["prompt"], text);
  }
}

TEST_F(TokenizeTest, PromptIsWhatCompletionsSee) {
  for (const char* prompt : {"hello world", ""}) {
    const Json body = {{"prompt", prompt}, {"max_tokens", 1}};
    const Json tokens = Served("/tokenize", DumpJson(body));
    const Json reply = Served("/v1/completions", DumpJson(body));
    EXPECT_EQ(tokens["count"], reply["usage"]["prompt_tokens"]);
  }
}

TEST_F(TokenizeTest, MessagesAreWhatChatSees) {
  const char* members = R"("messages":[{"role":"user","content":"<|end|> é"}],
      "tools":[{"type":"function","function":{"name":"f"}}])";
  const Json tokens = Served("/tokenize", absl::StrCat("{", members, "}"));
  const Json reply =
      Served("/v1/chat/completions", absl::StrCat(R"({"max_tokens":1,)", members, "}"));
  EXPECT_EQ(tokens["count"], reply["usage"]["prompt_tokens"]);
  const Json rendered = Served("/apply-template", absl::StrCat("{", members, "}"));
  EXPECT_THAT(rendered["prompt"].get<std::string>(), HasSubstr("<|user|><|end|> é<|end|>"));
  EXPECT_THAT(rendered["prompt"].get<std::string>(), HasSubstr("\"f\""));
  EXPECT_THAT(rendered["prompt"].get<std::string>(), EndsWith("<|assistant|>"));
}

TEST_F(TokenizeTest, ToolsThatMayNotBeCalledAreNotShown) {
  const Json rendered = Served("/apply-template", R"({"messages":[{"role":"user","content":"a"}],
      "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"})");
  EXPECT_EQ(rendered["prompt"], "<|user|>a<|end|><|assistant|>");
}

TEST_F(TokenizeTest, PiecesSpellTheText) {
  const std::string text = "é 漢 🙂";
  std::string bytes;
  const Json reply = Served("/tokenize", DumpJson({{"content", text}, {"with_pieces", true}}));
  for (const Json& token : reply["tokens"]) {
    const Json& piece = token["piece"];
    if (piece.is_string()) {
      bytes += piece.get<std::string>();
    } else {
      for (const Json& byte : piece) bytes += static_cast<char>(byte.get<int>());
    }
  }
  EXPECT_EQ(bytes, text);
}

TEST_F(TokenizeTest, FieldsOfAChatRequestThatHaveNoEffectAreTaken) {
  Served("/apply-template", R"({"model":"tiny","messages":[{"role":"user","content":"a"}],
      "temperature":0.5,"stream":true,"max_tokens":5,"user":"me"})");
}

TEST_F(TokenizeTest, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({})", "prompt"},
      {R"({"prompt":"a","content":"b"})", "prompt"},
      {R"({"prompt":5})", "prompt"},
      {R"({"content":["a"]})", "content"},
      {R"({"content":"a","with_pieces":1})", "with_pieces"},
      {R"({"content":"a","add_special":true})", "add_special"},
      {R"({"content":"a","parse_special":true})", "parse_special"},
      {R"({"prompt":"a","return_token_strs":true})", "return_token_strs"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":[{"role":"user","content":"a"}],"add_special_tokens":true})",
       "add_special_tokens"},
      {R"({"messages":[{"role":"user","content":"a"}],
           "tools":[{"type":"function","function":{"name":"a b"}}]})",
       "tools[0].function.name"},
      {R"({"messages":[{"role":"user","content":"a"}],"chat_template":"x"})", "chat_template"},
  };
  for (const auto& [body, param] : wrong) Refused("/tokenize", body, param);
  Refused("/apply-template", "{}", "messages");
  const RawReply other = Post("/tokenize", R"({"model":"other","content":"a"})");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.error("code"), "model_not_found");
}

TEST_F(TokenizeTest, P9_IdsOutsideTheVocabularyAreRefused) {
  for (const char* ids :
       {"[-1]", "[1.5]", "[\"1\"]", "[99999999]", "[18446744073709551616]", "5"}) {
    Refused("/detokenize", absl::StrCat(R"({"tokens":)", ids, "}"), "tokens");
  }
  Refused("/detokenize", "{}", "tokens");
}

TEST_F(TokenizeTest, RepliesAreBounded) {
  const std::string text(140'000, '\x01');  // a token each
  Refused("/tokenize", DumpJson({{"prompt", text}}), "prompt");
  Refused("/tokenize", DumpJson({{"content", text}}), "content");
  const std::string turn = DumpJson({{"messages", {{{"role", "user"}, {"content", text}}}}});
  Refused("/apply-template", turn, "messages");
}

TEST_F(TokenizeTest, J18_UnknownFieldsAreNamed) {
  EXPECT_EQ(Post("/tokenize", R"({"content":"a","frob":1})").headers.at("x-hearth-ignored"),
            "frob");
}

class TokenizeLoadingTest : public HttpTest {};

TEST_F(TokenizeLoadingTest, TheModelIsWaitedFor) {
  Start();
  for (const char* path : {"/tokenize", "/detokenize", "/apply-template"}) {
    EXPECT_EQ(Post(path, R"({"content":"a"})").error("code"), "loading");
  }
}

}  // namespace
}  // namespace hearth::server
