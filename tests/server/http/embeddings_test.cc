// /v1/embeddings on a small random model.
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

constexpr char kPath[] = "/v1/embeddings";

class EmbeddingsTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel(); }

  static std::string Input(std::string_view input, std::string_view members = "") {
    return absl::StrCat("{\"input\":", std::string(input), members.empty() ? "" : ",",
                        std::string(members), "}");
  }
  Json Served(std::string_view input, std::string_view members = "") const {
    const RawReply reply = Post(kPath, Input(input, members));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json();
  }
  RawReply Refused(std::string_view body, std::string_view param) const {
    const RawReply reply = Post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body.substr(0, 200) << reply.body;
    EXPECT_EQ(reply.error("param"), param) << body.substr(0, 200) << reply.body;
    EXPECT_EQ(reply.error("type"), "invalid_request_error");
    return reply;
  }
  int64_t vocab() const { return daemon_->engine().info().vocab_size; }
};

std::vector<float> Floats(const Json& list) {
  std::vector<float> values;
  for (const Json& value : list) values.push_back(value.get<float>());
  return values;
}

TEST_F(EmbeddingsTest, ReplyIsShapedAsOpenAIs) {
  const Json reply = Served(R"(["one two","three"])");
  EXPECT_EQ(reply["object"], "list");
  EXPECT_EQ(reply["model"], "tiny");
  ASSERT_EQ(reply["data"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reply["data"][i]["object"], "embedding");
    EXPECT_EQ(reply["data"][i]["index"], i);
    double squares = 0;
    for (const float value : Floats(reply["data"][i]["embedding"])) squares += value * value;
    EXPECT_NEAR(std::sqrt(squares), 1, 1e-5);
  }
  EXPECT_NE(reply["data"][0]["embedding"], reply["data"][1]["embedding"]);
}

TEST_F(EmbeddingsTest, Base64IsTheSameNumbers) {
  const Json list = Served(R"("one two")");
  const Json text = Served(R"("one two")", R"("encoding_format":"base64")");
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(text["data"][0]["embedding"].get<std::string>(), &bytes));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  EXPECT_EQ(values, Floats(list["data"][0]["embedding"]));
  EXPECT_EQ(Served(R"("one two")", R"("encoding_format":"float")"), list);
}

TEST_F(EmbeddingsTest, MeanIsTheDefaultAndLastIsAnother) {
  const Json mean = Served(R"("one two three")");
  EXPECT_EQ(Served(R"("one two three")", R"("pooling":"mean")"), mean);
  EXPECT_NE(Served(R"("one two three")", R"("pooling":"last")")["data"], mean["data"]);
  // Of one token they are the same.
  EXPECT_EQ(Served("[5]", R"("pooling":"last")"), Served("[5]"));
}

TEST_F(EmbeddingsTest, VectorsDoNotDependOnTheirNeighbours) {
  const std::string texts[] = {"one two", "three", "a text that is quite a bit longer than others"};
  std::string list = "[", reversed = "]";
  for (const std::string& text : texts) {
    absl::StrAppend(&list, list.size() > 1 ? "," : "", "\"", text, "\"");
    reversed = absl::StrCat("\"", text, "\"", reversed.size() > 1 ? "," : "", reversed);
  }
  const Json forwards = Served(list + "]")["data"];
  const Json backwards = Served("[" + reversed)["data"];
  ASSERT_EQ(forwards.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Json alone = Served(absl::StrCat("\"", texts[i], "\""))["data"][0]["embedding"];
    EXPECT_EQ(forwards[i]["embedding"], alone);
    EXPECT_EQ(backwards[2 - i]["embedding"], alone);
  }
}

TEST_F(EmbeddingsTest, UsageIsOfAllInputs) {
  const auto usage = [this](std::string_view input) { return Served(input)["usage"]; };
  const Json three = usage("[3,4,5]");
  EXPECT_EQ(three["prompt_tokens"], 3);
  EXPECT_EQ(three["total_tokens"], 3);
  const Json text = usage(R"("one two")");
  EXPECT_EQ(usage(R"(["one two",[3,4,5]])")["prompt_tokens"], text["prompt_tokens"].get<int>() + 3);
}

TEST_F(EmbeddingsTest, P8_P9_Inputs) {
  Refused("{}", "input");
  for (const char* input : {"null", "5", "{}", R"("")", "[]", "[-1]", "[1.5]", "[true]",
                            "[2147483648]", "[9223372036854775808]", "[null]", "[[[1]]]"}) {
    Refused(Input(input), "input");
  }
  Refused(Input(absl::StrCat("[", vocab(), "]")), "input");
  Refused(Input(R"(["a",""])"), "input[1]");
  Refused(Input("[[3],[]]"), "input[1]");
  Refused(Input(absl::StrCat("[[3],[3,", vocab(), "]]")), "input[1]");
  Served(absl::StrCat("[", vocab() - 1, "]"));
}

TEST_F(EmbeddingsTest, P9_AsManyInputsAsThereMayBe) {
  std::string inputs = "[3]";
  for (int i = 1; i < 2048; ++i) inputs += ",[3]";
  EXPECT_EQ(Served("[" + inputs + "]")["data"].size(), 2048u);
  Refused(Input("[" + inputs + ",[3]]"), "input");
}

class CrowdedEmbeddingsTest : public EmbeddingsTest {
 protected:
  CrowdedEmbeddingsTest() {
    config_.mutable_engine()->set_max_running(1);
    config_.mutable_limits()->set_max_queued(2);
  }
};

// Where the queue is full an input is submitted again.
TEST_F(CrowdedEmbeddingsTest, InputsOfManyClientsWaitForEachOther) {
  std::string inputs = R"("one two three")";
  for (int i = 1; i < 40; ++i) inputs += R"(,"one two three")";
  std::vector<std::thread> clients;
  std::atomic<int> served = 0;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const RawReply reply = Post(kPath, Input("[" + inputs + "]"));
        EXPECT_TRUE(reply.status == 200 || reply.status == 429) << reply.status << reply.body;
        served += reply.status == 200 ? 1 : 0;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GT(served, 0);
}

TEST_F(EmbeddingsTest, P11_InputsLongerThanTheContext) {
  const int32_t context = daemon_->engine().info().max_context;
  std::string ids = "3";
  for (int32_t i = 1; i < context; ++i) ids += ",3";
  EXPECT_EQ(Served("[" + ids + "]")["usage"]["prompt_tokens"], context);
  EXPECT_EQ(Refused(Input("[" + ids + ",3]"), "input").error("code"), "context_length_exceeded");
  EXPECT_EQ(Refused(Input("[[3],[" + ids + ",3]]"), "input[1]").error("code"),
            "context_length_exceeded");
}

TEST_F(EmbeddingsTest, P2_UnknownModelIsNotFound) {
  const RawReply reply = Post(kPath, Input("\"a\"", R"("model":"gpt-5")"));
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.error("param"), "model");
  EXPECT_EQ(reply.error("code"), "model_not_found");
}

TEST_F(EmbeddingsTest, J1_J2_J3_J4_BodiesThatAreNoObjects) {
  for (const char* body : {"", "{", "{} x", "[]", "null", "\"input\""}) Refused(body, "");
}

TEST_F(EmbeddingsTest, WordsAreTakenExactly) {
  for (const char* value : {"\"hex\"", "\"Float\"", "5"}) {
    Refused(Input("\"a\"", absl::StrCat("\"encoding_format\":", value)), "encoding_format");
    Refused(Input("\"a\"", absl::StrCat("\"pooling\":", value)), "pooling");
  }
  Refused(Input("\"a\"", R"("dimensions":8)"), "dimensions");
}

}  // namespace
}  // namespace hearth::server
