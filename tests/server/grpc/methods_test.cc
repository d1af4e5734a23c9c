// The unary methods, on a real engine.
#include <grpcpp/client_context.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/raw_call.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

constexpr char kTokenize[] = "/hearth.v1.Inference/Tokenize";

class MethodsTest : public testing::Test {
 protected:
  grpc::Status Tokenize(const v1::TokenizeRequest& request, v1::TokenizeResponse& response) {
    grpc::ClientContext context;
    return inference_->Tokenize(&context, request, &response);
  }
  grpc::Status Detokenize(const v1::DetokenizeRequest& request, v1::DetokenizeResponse& response) {
    grpc::ClientContext context;
    return inference_->Detokenize(&context, request, &response);
  }

  ServedDaemon served_;
  std::unique_ptr<v1::Inference::Stub> inference_ = served_.Inference();
  std::unique_ptr<v1::Control::Stub> control_ = served_.Control();
};

TEST_F(MethodsTest, TokenizeRoundTrips) {
  for (const std::string text : {"", "hello world", " leading", "é 漢 🙂\n\ttab", "<|end|>"}) {
    v1::TokenizeRequest request;
    request.set_text(text);
    v1::TokenizeResponse tokens;
    ASSERT_TRUE(Tokenize(request, tokens).ok());
    EXPECT_EQ(tokens.ids().empty(), text.empty());
    v1::DetokenizeRequest back;
    *back.mutable_ids() = tokens.ids();
    v1::DetokenizeResponse out;
    ASSERT_TRUE(Detokenize(back, out).ok());
    EXPECT_EQ(out.text(), text);
  }
}

TEST_F(MethodsTest, DetokenizeRefusesIdsOutsideTheVocabulary) {
  for (int32_t id : {-1, 1 << 30, std::numeric_limits<int32_t>::min()}) {
    v1::DetokenizeRequest request;
    request.add_ids(id);
    v1::DetokenizeResponse response;
    const grpc::Status status = Detokenize(request, response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("ids: "));
  }
}

TEST_F(MethodsTest, DetokenizeBoundsItsAnswer) {
  const Tokenizer& tokenizer = served_.daemon().engine().tokenizer();
  TokenId longest = 0;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.Bytes(id).size() > tokenizer.Bytes(longest).size()) longest = id;
  }
  const int per_megabyte = longest < 128 ? 1'000'000 : 500'000;  // varint bytes
  v1::DetokenizeRequest request;
  request.mutable_ids()->Resize(per_megabyte, longest);
  v1::DetokenizeResponse response;
  const grpc::Status status = Detokenize(request, response);
  if (per_megabyte * tokenizer.Bytes(longest).size() > 4 * 1024 * 1024) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  } else {
    EXPECT_TRUE(status.ok());
  }
}

TEST_F(MethodsTest, G9_UnknownModelIsNotFound) {
  v1::TokenizeRequest tokenize;
  tokenize.set_model("../../etc/passwd");
  v1::TokenizeResponse tokens;
  EXPECT_EQ(Tokenize(tokenize, tokens).error_code(), grpc::StatusCode::NOT_FOUND);
  v1::DetokenizeRequest detokenize;
  detokenize.set_model("other");
  v1::DetokenizeResponse text;
  EXPECT_EQ(Detokenize(detokenize, text).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(MethodsTest, GetModelDescribesWhatIsServed) {
  grpc::ClientContext context;
  v1::GetModelResponse model;
  ASSERT_TRUE(control_->GetModel(&context, {}, &model).ok());
  const ModelInfo& info = served_.daemon().engine().info();
  EXPECT_EQ(model.id(), served_.daemon().model_id());
  EXPECT_EQ(model.architecture(), info.architecture);
  EXPECT_EQ(model.vocab_size(), info.vocab_size);
  EXPECT_GT(model.vocab_size(), 0);
  EXPECT_GT(model.parameters(), 0);
  EXPECT_GT(model.max_context(), 0);
  EXPECT_GT(model.weight_bytes(), 0u);
  EXPECT_GT(model.kv_bytes(), 0u);
  EXPECT_EQ(model.weight_type(), "Q8_0");
  EXPECT_FALSE(model.isa().empty());
  EXPECT_EQ(model.threads(), 1);
  EXPECT_EQ(model.system_fingerprint(), served_.daemon().system_fingerprint());
}

TEST_F(MethodsTest, GetLoadCountsTokens) {
  const auto load = [this] {
    grpc::ClientContext context;
    v1::GetLoadResponse response;
    EXPECT_TRUE(control_->GetLoad(&context, {}, &response).ok());
    return response;
  };
  EXPECT_EQ(load().generated_tokens(), 0u);
  EXPECT_GT(load().kv_blocks_total(), 0);
  grpc::ClientContext context;
  ASSERT_TRUE(ReadAll(inference_->Generate(&context, LongRequest(8))).status.ok());
  EXPECT_GT(load().generated_tokens(), 0u);
  EXPECT_GT(load().prompt_tokens(), 0u);
  EXPECT_EQ(load().max_queued(), 64);
}

TEST_F(MethodsTest, G1_UnknownMethodsAreUnimplemented) {
  const auto channel = served_.NewChannel();
  for (const char* method :
       {"/hearth.v1.Inference/Nothing", "/hearth.v2.Inference/Chat", "/", "nothing"}) {
    EXPECT_EQ(RawCall(channel, method, {""}).error_code(), grpc::StatusCode::UNIMPLEMENTED)
        << method;
  }
}

TEST_F(MethodsTest, G2_G4_G5_MessagesThatDoNotParseAreRefused) {
  const auto channel = served_.NewChannel();
  std::string nested;  // 200 levels of an unknown group
  nested.append(200, '\x7b').append(200, '\x7c');
  const std::vector<std::string> bad = {
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),  // no varint
      std::string("\x12\x7f"
                  "abc"),  // truncated
      nested,
      std::string("\x12\x02\xc0\x80", 4),      // overlong
      std::string("\x12\x03\xed\xa0\x80", 5),  // a surrogate
  };
  for (const std::string& message : bad) {
    const grpc::Status status = RawCall(channel, "/hearth.v1.Inference/Tokenize", {message});
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << testing::PrintToString(message);
    EXPECT_THAT(status.error_message(), HasSubstr("hearth.v1.TokenizeRequest"));
    EXPECT_EQ(RawCall(channel, "/hearth.v1.Inference/Generate", {message}).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(MethodsTest, G3_MessagesOverTheLimitAreRefused) {
  const auto channel = served_.NewChannel();
  v1::TokenizeRequest request;
  request.set_text(std::string(1024 * 1024 + 1, 'a'));
  EXPECT_EQ(
      RawCall(channel, "/hearth.v1.Inference/Tokenize", {request.SerializeAsString()}).error_code(),
      grpc::StatusCode::RESOURCE_EXHAUSTED);
  request.set_text(std::string(1024 * 1024 - 16, 'a'));
  EXPECT_EQ(  // read, and found to be too many tokens
      RefusedField(
          RawCall(channel, "/hearth.v1.Inference/Tokenize", {request.SerializeAsString()})),
      "text");
}

TEST_F(MethodsTest, G19_CompressedMessagesAreRefusedUnexpanded) {
  v1::TokenizeRequest request;
  request.set_text(std::string(64 * 1024 * 1024, '\0'));  // 64 KB compressed
  const int64_t before = ResidentBytes();
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_compression_algorithm(algorithm);
    const grpc::Status status = RawCall(served_.NewChannel(), "/hearth.v1.Inference/Tokenize",
                                        {request.SerializeAsString()}, std::move(context));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  }
  EXPECT_LT(ResidentBytes() - before, 32 * 1024 * 1024);
}

TEST_F(MethodsTest, G24_UnknownFieldsAreIgnored) {
  v1::TokenizeRequest request;
  request.set_text("hello");
  const std::string unknown = "\xf8\x3f\x01";  // field 1023, varint 1
  EXPECT_TRUE(RawCall(served_.NewChannel(), "/hearth.v1.Inference/Tokenize",
                      {request.SerializeAsString() + unknown})
                  .ok());
}

// gRPC 1.51 reads one message of such a call and no more: the rest is dropped with its stream.
TEST_F(MethodsTest, G25_OfTwoMessagesOnAUnaryMethodTheFirstIsAnswered) {
  v1::TokenizeRequest request;
  request.set_text("hello");
  const std::string bytes = request.SerializeAsString();
  EXPECT_TRUE(RawCall(served_.NewChannel(), kTokenize, {bytes, "\xff"}).ok());
  EXPECT_TRUE(RawCall(served_.NewChannel(), kTokenize, {bytes}).ok());
}

TEST_F(MethodsTest, TokenizeTellsWhatTokensSpell) {
  v1::TokenizeRequest request;
  request.set_text("é hello 🙂");
  v1::TokenizeResponse response;
  ASSERT_TRUE(Tokenize(request, response).ok());
  EXPECT_TRUE(response.pieces().empty());
  request.set_with_pieces(true);
  ASSERT_TRUE(Tokenize(request, response).ok());
  ASSERT_EQ(response.pieces_size(), response.ids_size());
  std::string all;
  for (const std::string& piece : response.pieces()) all += piece;
  EXPECT_THAT(all, HasSubstr(request.text()));
}

// A method as a client may get it wrong.
struct Row {
  const char* method;
  std::string good;
  std::string other_model;  // empty: has no model
  std::string wrong;        // empty: nothing can be
  std::string field;        // that the error names
};

template <typename Request>
std::string Bytes(void (*fill)(Request&)) {
  Request request;
  fill(request);
  return request.SerializeAsString();
}

void Ask(v1::ChatRequest& chat) {
  chat.add_messages()->set_role(v1::ROLE_USER);
  chat.mutable_messages(0)->set_content("hello");
}

constexpr char kEnough[] = "a text that fills a block of thirty-two tokens: 0123456789 0123456789";

std::vector<Row> Rows() {
  using v1::EmbedRequest, v1::ScoreRequest, v1::EstimateRequest, v1::RenderChatRequest,
      v1::PinPrefixRequest, v1::UnpinPrefixRequest, v1::WatchLoadRequest;
  return {
      {"/hearth.v1.Inference/Embed",
       Bytes<EmbedRequest>([](EmbedRequest& r) { r.add_inputs()->set_text("x"); }),
       Bytes<EmbedRequest>([](EmbedRequest& r) {
         r.add_inputs()->set_text("x");
         r.set_model("other");
       }),
       Bytes<EmbedRequest>([](EmbedRequest& r) {
         r.add_inputs()->set_text("x");
         r.add_inputs()->mutable_tokens()->add_ids(-1);
       }),
       "inputs[1]"},
      {"/hearth.v1.Inference/Embed", "", "", Bytes<EmbedRequest>([](EmbedRequest&) {}), "inputs"},
      {"/hearth.v1.Inference/Embed", "", "",
       Bytes<EmbedRequest>([](EmbedRequest& r) { r.add_inputs(); }), "inputs"},
      {"/hearth.v1.Inference/Embed", "", "", Bytes<EmbedRequest>([](EmbedRequest& r) {
         r.add_inputs()->set_text("x");
         r.set_pooling(static_cast<EmbedRequest::Pooling>(9));
       }),
       "pooling"},
      {"/hearth.v1.Inference/Score", Bytes<ScoreRequest>([](ScoreRequest& r) {
         r.set_text("x");
         r.add_candidates("y");
       }),
       Bytes<ScoreRequest>([](ScoreRequest& r) {
         r.set_text("x");
         r.add_candidates("y");
         r.set_model("other");
       }),
       Bytes<ScoreRequest>([](ScoreRequest& r) {
         r.set_text("x");
         r.add_candidates("y");
         r.add_candidates("");
       }),
       "candidates[1]"},
      {"/hearth.v1.Inference/Score", "", "",
       Bytes<ScoreRequest>([](ScoreRequest& r) { r.set_text("x"); }), "candidates"},
      {"/hearth.v1.Inference/Score", "", "",
       Bytes<ScoreRequest>([](ScoreRequest& r) { r.add_candidates("x"); }), "prefix"},
      {"/hearth.v1.Inference/Score", "", "", Bytes<ScoreRequest>([](ScoreRequest& r) {
         Ask(*r.mutable_chat());
         r.mutable_chat()->mutable_options()->set_cache_key("k");
         r.add_candidates("x");
       }),
       "chat.options"},
      {"/hearth.v1.Inference/Estimate",
       Bytes<EstimateRequest>([](EstimateRequest& r) { Ask(*r.mutable_chat()); }),
       Bytes<EstimateRequest>([](EstimateRequest& r) {
         Ask(*r.mutable_chat());
         r.mutable_chat()->set_model("other");
       }),
       Bytes<EstimateRequest>([](EstimateRequest& r) {
         Ask(*r.mutable_chat());
         r.mutable_chat()->mutable_options()->set_n(9);
       }),
       "n"},
      {"/hearth.v1.Inference/Estimate", "", "", Bytes<EstimateRequest>([](EstimateRequest&) {}),
       "request"},
      {"/hearth.v1.Inference/RenderChat",
       Bytes<RenderChatRequest>([](RenderChatRequest& r) { Ask(*r.mutable_chat()); }),
       Bytes<RenderChatRequest>([](RenderChatRequest& r) {
         Ask(*r.mutable_chat());
         r.mutable_chat()->set_model("other");
       }),
       Bytes<RenderChatRequest>([](RenderChatRequest& r) { r.mutable_chat()->add_messages(); }),
       "messages[0].role"},
      {"/hearth.v1.Control/PinPrefix", Bytes<PinPrefixRequest>([](PinPrefixRequest& r) {
         r.set_name("p");
         r.set_text(kEnough);
       }),
       Bytes<PinPrefixRequest>([](PinPrefixRequest& r) {
         r.set_name("p");
         Ask(*r.mutable_chat());
         r.mutable_chat()->set_model("other");
       }),
       Bytes<PinPrefixRequest>([](PinPrefixRequest& r) {
         r.set_name("p/q");
         r.set_text(kEnough);
       }),
       "name"},
      {"/hearth.v1.Control/PinPrefix", "", "", Bytes<PinPrefixRequest>([](PinPrefixRequest& r) {
         r.set_name("p");
         r.set_text("x");
       }),
       "text"},
      {"/hearth.v1.Control/UnpinPrefix", "", "",
       Bytes<UnpinPrefixRequest>([](UnpinPrefixRequest&) {}), "name"},
      {"/hearth.v1.Control/WatchLoad", "", "",
       Bytes<WatchLoadRequest>([](WatchLoadRequest& r) { r.set_interval_ms(99); }), "interval_ms"},
  };
}

TEST_F(MethodsTest, G6_G9_EveryMethodNamesWhatIsWrong) {
  const auto channel = served_.NewChannel();
  for (const Row& row : Rows()) {
    SCOPED_TRACE(absl::StrCat(row.method, " ", row.field));
    if (!row.good.empty()) {
      const grpc::Status good = RawCall(channel, row.method, {row.good});
      EXPECT_TRUE(good.ok()) << good.error_message();
    }
    if (!row.other_model.empty()) {
      const grpc::Status other = RawCall(channel, row.method, {row.other_model});
      EXPECT_EQ(other.error_code(), grpc::StatusCode::NOT_FOUND) << other.error_message();
      EXPECT_THAT(other.error_message(), testing::StartsWith("model: "));
    }
    const grpc::Status wrong = RawCall(channel, row.method, {row.wrong});
    EXPECT_EQ(wrong.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << wrong.error_message();
    EXPECT_EQ(RefusedField(wrong), row.field);
  }
  v1::UnpinPrefixRequest unpin;
  unpin.set_name("p");
  EXPECT_TRUE(RawCall(channel, "/hearth.v1.Control/UnpinPrefix", {unpin.SerializeAsString()}).ok());
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST(Methods, G12_EveryMethodIsUnavailableWhileTheModelLoads) {
  ServedDaemon served({.load = false});
  const auto channel = served.NewChannel();
  for (const Row& row : Rows()) {
    const grpc::Status status = RawCall(channel, row.method, {row.good});
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << row.method;
    EXPECT_THAT(status.error_message(), HasSubstr("loading")) << row.method;
  }
}

// Cancelled by `cancel` when it is under way.
template <typename Start>
void ExpectCancelled(ServedDaemon& served, const Start& start) {
  grpc::ClientContext context;
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return served.daemon().live_tasks() > 0; }));
    context.TryCancel();
  });
  EXPECT_EQ(start(context).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(served.AwaitIdle());
}

TEST_F(MethodsTest, G14_CancelledPromptsFreeEverything) {
  std::string text;  // as much as the context takes, so that there is time
  while (text.size() < 1000) text += "0123456789 ";
  ExpectCancelled(served_, [&](grpc::ClientContext& context) {
    v1::EmbedRequest request;
    for (int i = 0; i < 256; ++i) request.add_inputs()->set_text(text);
    v1::EmbedResponse response;
    return inference_->Embed(&context, request, &response);
  });
  ExpectCancelled(served_, [&](grpc::ClientContext& context) {
    v1::ScoreRequest request;
    request.set_text("x");
    for (int i = 0; i < 64; ++i) request.add_candidates(text);
    v1::ScoreResponse response;
    return inference_->Score(&context, request, &response);
  });
}

TEST_F(MethodsTest, G14_WatchLoadEndsWithItsClient) {
  grpc::ClientContext context;
  v1::WatchLoadRequest request;
  request.set_interval_ms(100);
  const auto reader = control_->WatchLoad(&context, request);
  v1::GetLoadResponse load;
  ASSERT_TRUE(reader->Read(&load));
  ASSERT_TRUE(reader->Read(&load));
  context.TryCancel();
  while (reader->Read(&load)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([this] {  // the server's side of it, too
    return absl::StrContains(served_.daemon().metrics().Render(nullptr, nullptr),
                             "route=\"Control/WatchLoad\",status=\"CANCELLED\"");
  })) << served_.daemon().metrics().Render(nullptr, nullptr);
}

TEST_F(MethodsTest, G13_APassedDeadlineFreesEverything) {
  std::string text;
  while (text.size() < 1000) text += "0123456789 ";
  v1::EmbedRequest request;
  for (int i = 0; i < 256; ++i) request.add_inputs()->set_text(text);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(20));
  v1::EmbedResponse response;
  EXPECT_EQ(inference_->Embed(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(served_.AwaitIdle());
}

}  // namespace
}  // namespace hearth::server
