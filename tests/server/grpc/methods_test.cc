// The unary methods, on a real engine.
#include <grpcpp/client_context.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/raw_call.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_TRUE(
      RawCall(channel, "/hearth.v1.Inference/Tokenize", {request.SerializeAsString()}).ok());
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

TEST_F(MethodsTest, G25_TwoMessagesOnAUnaryMethodHurtNobody) {
  v1::TokenizeRequest request;
  request.set_text("hello");
  const std::string bytes = request.SerializeAsString();
  RawCall(served_.NewChannel(), "/hearth.v1.Inference/Tokenize", {bytes, bytes});
  EXPECT_TRUE(RawCall(served_.NewChannel(), "/hearth.v1.Inference/Tokenize", {bytes}).ok());
}

}  // namespace
}  // namespace hearth::server
