// Chat and Generate, on a real engine.
#include <grpcpp/client_context.h>

#include <limits>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "hearth/v1/error_details.pb.h"
#include "tests/server/grpc/served_daemon.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;
using Event = v1::GenerateEvent;

class GenerationTest : public testing::Test {
 protected:
  Stream Generate(const v1::GenerateRequest& request) {
    grpc::ClientContext context;
    return ReadAll(inference_->Generate(&context, request));
  }
  Stream Chat(const v1::ChatRequest& request) {
    grpc::ClientContext context;
    return ReadAll(inference_->Chat(&context, request));
  }

  ServedDaemon served_;
  std::unique_ptr<v1::Inference::Stub> inference_ = served_.Inference();
};

v1::ChatRequest ChatRequest(const std::string& text) {
  v1::ChatRequest request;
  request.add_messages()->set_role(v1::ROLE_USER);
  request.mutable_messages(0)->set_content(text);
  request.mutable_options()->set_max_tokens(8);
  return request;
}

TEST_F(GenerationTest, EventsComeInTheirOrder) {
  const Stream stream = Generate(LongRequest(20, 2));
  ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();
  ASSERT_GE(stream.events.size(), 5u);
  const v1::Accepted& accepted = stream.events[0].accepted();
  EXPECT_EQ(accepted.id().size(), 24u);
  EXPECT_EQ(accepted.model(), served_.daemon().model_id());
  EXPECT_EQ(accepted.seed(), 3u);
  EXPECT_EQ(accepted.system_fingerprint(), served_.daemon().system_fingerprint());
  EXPECT_GT(accepted.prompt_tokens(), 0);
  bool text_began = false;
  int finished[2] = {0, 0};
  for (size_t i = 1; i + 1 < stream.events.size(); ++i) {
    const Event& event = stream.events[i];
    EXPECT_FALSE(event.has_progress() && text_began);
    if (event.has_delta()) {
      text_began = true;
      EXPECT_EQ(finished[event.delta().index()], 0);
    }
    if (event.has_finish()) {
      ++finished[event.finish().index()];
      EXPECT_NE(event.finish().reason(), v1::FINISH_REASON_UNSPECIFIED);
    }
  }
  EXPECT_EQ(finished[0], 1);
  EXPECT_EQ(finished[1], 1);
  const v1::Usage& usage = stream.events.back().usage();
  EXPECT_EQ(usage.prompt_tokens(), accepted.prompt_tokens());
  EXPECT_GE(usage.completion_tokens(), static_cast<int>(stream.tokens().size()));
}

TEST_F(GenerationTest, TheSeedToldRepeatsTheTokens) {
  v1::GenerateRequest request = LongRequest(24);
  request.mutable_options()->mutable_sampling()->clear_seed();
  const Stream first = Generate(request);
  ASSERT_TRUE(first.status.ok());
  request.mutable_options()->mutable_sampling()->set_seed(first.events[0].accepted().seed());
  const Stream second = Generate(request);
  EXPECT_EQ(first.tokens(), second.tokens());
  EXPECT_EQ(first.text(), second.text());
}

TEST_F(GenerationTest, TokensAndTextAreTheSamePrompt) {
  grpc::ClientContext context;
  v1::TokenizeRequest tokenize;
  tokenize.set_text("a");
  tokenize.set_add_special(true);
  v1::TokenizeResponse tokens;
  ASSERT_TRUE(inference_->Tokenize(&context, tokenize, &tokens).ok());
  const v1::GenerateRequest text = LongRequest(12);
  v1::GenerateRequest ids = text;
  *ids.mutable_tokens()->mutable_ids() = tokens.ids();
  EXPECT_EQ(Generate(text).tokens(), Generate(ids).tokens());
}

TEST_F(GenerationTest, ChatAnswers) {
  const Stream stream = Chat(ChatRequest("hello"));
  ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();
  EXPECT_TRUE(stream.events.back().has_usage());
}

struct Refusal {
  const char* field;
  std::function<void(v1::Options&)> spoil;
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.field; }

class G6_Refused : public GenerationTest, public testing::WithParamInterface<Refusal> {};

TEST_P(G6_Refused, NamesTheField) {
  v1::GenerateRequest generate = LongRequest(4);
  GetParam().spoil(*generate.mutable_options());
  v1::ChatRequest chat = ChatRequest("hello");
  GetParam().spoil(*chat.mutable_options());
  for (const Stream& stream : {Generate(generate), Chat(chat)}) {
    EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(stream.status.error_message(), testing::StartsWith(GetParam().field));
    EXPECT_TRUE(stream.events.empty());
    EXPECT_EQ(RefusedField(stream.status), GetParam().field);
  }
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

#define HEARTH_SAMPLING(name, value)                                        \
  Refusal {                                                                 \
#name, [](v1::Options & o) { o.mutable_sampling()->set_##name(value); } \
  }

INSTANTIATE_TEST_SUITE_P(
    P, G6_Refused,
    testing::Values(
        HEARTH_SAMPLING(temperature, -0.1f), HEARTH_SAMPLING(temperature, 2.1f),
        HEARTH_SAMPLING(temperature, kNan), HEARTH_SAMPLING(temperature, kInfinity),
        HEARTH_SAMPLING(top_p, 0), HEARTH_SAMPLING(top_p, 1.01f), HEARTH_SAMPLING(top_p, kNan),
        HEARTH_SAMPLING(top_k, -2), HEARTH_SAMPLING(top_k, 1 << 30), HEARTH_SAMPLING(min_p, -1),
        HEARTH_SAMPLING(min_p, 2), HEARTH_SAMPLING(min_p, kNan),
        HEARTH_SAMPLING(repetition_penalty, 0), HEARTH_SAMPLING(repetition_penalty, -1),
        HEARTH_SAMPLING(repetition_penalty, 2.01f), HEARTH_SAMPLING(repetition_penalty, kNan),
        HEARTH_SAMPLING(frequency_penalty, 2.01f), HEARTH_SAMPLING(frequency_penalty, -2.01f),
        HEARTH_SAMPLING(frequency_penalty, kNan), HEARTH_SAMPLING(frequency_penalty, kInfinity),
        HEARTH_SAMPLING(presence_penalty, -2.01f), HEARTH_SAMPLING(presence_penalty, 2.01f),
        HEARTH_SAMPLING(presence_penalty, kNan), HEARTH_SAMPLING(presence_penalty, -kInfinity),
        Refusal{"max_tokens", [](v1::Options& o) { o.set_max_tokens(0); }},
        Refusal{"max_tokens", [](v1::Options& o) { o.set_max_tokens(-1); }},
        Refusal{"max_tokens", [](v1::Options& o) { o.set_max_tokens(1 << 30); }},
        Refusal{"n", [](v1::Options& o) { o.set_n(0); }},
        Refusal{"n", [](v1::Options& o) { o.set_n(5); }},
        Refusal{"n", [](v1::Options& o) { o.set_n(std::numeric_limits<int32_t>::max()); }},
        Refusal{"stop",
                [](v1::Options& o) {
                  for (int i = 0; i < 5; ++i) o.add_stop(std::string(1, 'x'));
                }},
        Refusal{"stop", [](v1::Options& o) { o.add_stop(std::string()); }},
        Refusal{"stop", [](v1::Options& o) { o.add_stop(std::string(65, 'x')); }},
        Refusal{"stop", [](v1::Options& o) { o.add_stop(std::string("a\0b", 3)); }},
        Refusal{"logit_bias",
                [](v1::Options& o) { (*o.mutable_sampling()->mutable_logit_bias())[-1] = 0; }},
        Refusal{"logit_bias",
                [](v1::Options& o) { (*o.mutable_sampling()->mutable_logit_bias())[1 << 30] = 0; }},
        Refusal{"logit_bias",
                [](v1::Options& o) { (*o.mutable_sampling()->mutable_logit_bias())[0] = 101; }},
        Refusal{"logit_bias",
                [](v1::Options& o) { (*o.mutable_sampling()->mutable_logit_bias())[0] = kNan; }},
        Refusal{"min_tokens", [](v1::Options& o) { o.set_min_tokens(-1); }},
        Refusal{"min_tokens", [](v1::Options& o) { o.set_min_tokens(o.max_tokens() + 1); }},
        Refusal{"stop_tokens", [](v1::Options& o) { o.add_stop_tokens(-1); }},
        Refusal{"stop_tokens", [](v1::Options& o) { o.add_stop_tokens(1 << 30); }},
        Refusal{"stop_tokens",
                [](v1::Options& o) {
                  for (int i = 0; i < 65; ++i) o.add_stop_tokens(1);
                }},
        Refusal{"top_logprobs", [](v1::Options& o) { o.set_top_logprobs(-1); }},
        Refusal{"top_logprobs", [](v1::Options& o) { o.set_top_logprobs(21); }},
        Refusal{"cache_key", [](v1::Options& o) { o.set_cache_key(std::string(513, 'x')); }},
        Refusal{"priority", [](v1::Options& o) { o.set_priority(static_cast<v1::Priority>(9)); }},
        Refusal{"overflow", [](v1::Options& o) { o.set_overflow(static_cast<v1::Overflow>(9)); }},
        Refusal{"constraint.json_schema",
                [](v1::Options& o) { o.mutable_constraint()->set_json_schema("{"); }},
        Refusal{"constraint.json_schema",
                [](v1::Options& o) { o.mutable_constraint()->set_json_schema(""); }},
        Refusal{"constraint.json_schema",
                [](v1::Options& o) {
                  o.mutable_constraint()->set_json_schema(
                      R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},)"
                      R"("b":{"$ref":"#/$defs/a"}}})");
                }},
        Refusal{"constraint.json_schema",
                [](v1::Options& o) {
                  o.mutable_constraint()->set_json_schema(R"({"$ref":"https://example.com/s"})");
                }},
        Refusal{"constraint.json_schema",
                [](v1::Options& o) {
                  o.mutable_constraint()->set_json_schema(std::string(100'000, '['));
                }},
        Refusal{"constraint.regex",
                [](v1::Options& o) { o.mutable_constraint()->set_regex(std::string(60'000, '(')); }},
        Refusal{"constraint.json_object",
                [](v1::Options& o) { o.mutable_constraint()->set_json_object(false); }},
        Refusal{"constraint.regex", [](v1::Options& o) { o.mutable_constraint()->set_regex("("); }},
        Refusal{"constraint.choice",
                [](v1::Options& o) { o.mutable_constraint()->mutable_choice(); }},
        Refusal{"logit_bias", [](v1::Options& o) {
                  for (int i = 0; i < 1025; ++i)
                    (*o.mutable_sampling()->mutable_logit_bias())[i] = 0;
                }}));

TEST_F(GenerationTest, G6_PromptsAreChecked) {
  const auto expect = [](const Stream& stream, const std::string& field) {
    EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_THAT(stream.status.error_message(), testing::StartsWith(field + ": "));
    EXPECT_EQ(RefusedField(stream.status), field);
  };
  v1::GenerateRequest generate;
  expect(Generate(generate), "prompt");
  generate.mutable_tokens();
  expect(Generate(generate), "tokens.ids");
  const int32_t vocab = served_.daemon().engine().info().vocab_size;
  for (const int32_t id : {-1, vocab, 1 << 30}) {
    generate.mutable_tokens()->clear_ids();
    generate.mutable_tokens()->add_ids(id);
    expect(Generate(generate), "tokens.ids");
  }
  generate = LongRequest(4);
  generate.mutable_options()->add_stop_tokens(vocab);
  expect(Generate(generate), "stop_tokens");
  generate = LongRequest(4);
  (*generate.mutable_options()->mutable_sampling()->mutable_logit_bias())[vocab] = 1;
  expect(Generate(generate), "logit_bias");
  generate = LongRequest(4);
  generate.mutable_options()->mutable_sampling()->set_top_k(vocab + 1);
  expect(Generate(generate), "top_k");
  expect(Chat({}), "messages");
  v1::ChatRequest chat = ChatRequest("x");
  while (chat.messages_size() <= 10'000) *chat.add_messages() = chat.messages(0);
  expect(Chat(chat), "messages");
}

TEST_F(GenerationTest, P27_P28_ToolsAreBounded) {
  const auto expect = [this](const v1::ChatRequest& request, const std::string& field) {
    const Stream stream = Chat(request);
    EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_EQ(RefusedField(stream.status), field) << stream.status.error_message();
  };
  const auto with_tools = [](int count) {
    v1::ChatRequest request = ChatRequest("hello");
    for (int i = 0; i < count; ++i) request.add_tools()->set_name(absl::StrCat("f", i));
    return request;
  };
  expect(with_tools(129), "tools");
  v1::ChatRequest request = with_tools(2);
  request.mutable_tools(1)->set_name("f0");
  expect(request, "tools[1].name");
  for (const std::string& name :
       {std::string(65, 'x'), std::string("a b"), std::string("a\0b", 3)}) {
    request.mutable_tools(1)->set_name(name);
    expect(request, "tools[1].name");
  }
  request = with_tools(2);
  request.mutable_tools(1)->set_description(std::string(128 * 1024, 'x'));
  expect(request, "tools");
  request = with_tools(2);
  request.mutable_tools(1)->set_parameters(std::string(100'000, '['));
  expect(request, "tools[1].parameters");
  request = with_tools(1);
  request.mutable_tool_choice()->add_allowed("g");
  expect(request, "tool_choice");
  request = ChatRequest("hello");
  request.mutable_tool_choice()->set_mode(v1::ToolChoice::REQUIRED);
  expect(request, "tool_choice");
  request = with_tools(1);
  request.mutable_options()->mutable_constraint()->set_json_object(true);
  expect(request, "constraint.json_object");
}

TEST_F(GenerationTest, TheStopStringThatEndedAChoiceIsTold) {
  const Stream free = Generate(LongRequest(40));
  ASSERT_TRUE(free.status.ok());
  const std::string text = free.text();
  ASSERT_GT(text.size(), 6u);
  // Whole characters: what a random model says may be any.
  size_t begin = text.size() / 2;
  while ((static_cast<uint8_t>(text[begin]) & 0xc0) == 0x80) --begin;
  size_t end = begin + 1;
  while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) ++end;
  const std::string stop = text.substr(begin, end - begin);
  v1::GenerateRequest request = LongRequest(40);
  request.mutable_options()->add_stop("not in there at all");
  request.mutable_options()->add_stop(stop);
  for (const auto& [stream, expected] : {std::pair(Generate(request), stop), {free, ""}}) {
    for (const Event& event : stream.events) {
      if (event.has_finish()) {
        EXPECT_EQ(event.finish().stop(), expected);
      }
    }
  }
}

TEST_F(GenerationTest, G6_ToolsAndCallsAreChecked) {
  const auto expect = [this](const v1::ChatRequest& request, const std::string& start) {
    const Stream stream = Chat(request);
    EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << start;
    EXPECT_THAT(stream.status.error_message(), testing::StartsWith(start));
  };
  v1::ChatRequest request = ChatRequest("hello");
  v1::Tool& tool = *request.add_tools();
  expect(request, "tools[0].name: ");
  tool.set_name("f");
  tool.set_parameters("{");
  expect(request, "tools[0].parameters: ");
  tool.set_parameters("[]");
  expect(request, "tools[0].parameters: ");
  tool.set_parameters(R"({"type":"object","properties":{"a":{"uniqueItems":true}}})");
  expect(request, "tools: /tools/0/parameters/properties/a/uniqueItems");
  tool.clear_parameters();
  request.mutable_tool_choice()->set_name("g");
  expect(request, "tool_choice: ");
  request.mutable_tool_choice()->set_name("f");
  request.mutable_tool_choice()->add_allowed("f");
  expect(request, "tool_choice.allowed: ");
  request.mutable_tool_choice()->clear_allowed();
  request.mutable_tool_choice()->set_mode(static_cast<v1::ToolChoice::Mode>(9));
  expect(request, "tool_choice.mode: ");
  request.clear_tool_choice();
  v1::Message& message = *request.add_messages();
  message.set_role(v1::ROLE_ASSISTANT);
  message.add_tool_calls()->set_name("f");
  message.mutable_tool_calls(0)->set_arguments("[]");
  expect(request, "messages[1].tool_calls[0].arguments: ");
  message.mutable_tool_calls(0)->set_arguments("{}");
  message.set_role(v1::ROLE_USER);
  expect(request, "messages[1].tool_calls: ");
}

TEST_F(GenerationTest, AForcedCallComesInParts) {
  v1::ChatRequest request = ChatRequest("hello");
  request.add_tools()->set_name("f");
  request.mutable_tools(0)->set_parameters(
      R"({"type":"object","properties":{"a":{"const":"a long enough text to come in parts"}},)"
      R"("required":["a"],"additionalProperties":false})");
  request.mutable_tool_choice()->set_name("f");
  request.mutable_options()->set_max_tokens(200);
  const Stream stream = Chat(request);
  ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();
  std::string arguments;
  int parts = 0;
  for (const Event& event : stream.events) {
    if (event.has_finish()) {
      EXPECT_EQ(event.finish().reason(), v1::FINISH_REASON_TOOL_CALLS);
    }
    if (!event.has_tool_call()) continue;
    EXPECT_EQ(event.tool_call().name(), parts == 0 ? "f" : "");
    EXPECT_EQ(event.tool_call().id().empty(), parts > 0);
    arguments += event.tool_call().arguments();
    ++parts;
  }
  EXPECT_GT(parts, 2);
  EXPECT_THAT(arguments, HasSubstr("a long enough text to come in parts"));
  EXPECT_EQ(stream.text(), "");
}

TEST_F(GenerationTest, LogprobsComeWithTheirTokens) {
  v1::GenerateRequest request = LongRequest(8);
  request.set_echo(true);
  request.mutable_options()->set_top_logprobs(2);
  const Stream stream = Generate(request);
  ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();
  bool first = true;
  for (const Event& event : stream.events) {
    const v1::Delta& delta = event.delta();
    ASSERT_EQ(delta.logprobs_size(), delta.tokens_size());
    for (int i = 0; i < delta.tokens_size(); ++i) {
      EXPECT_EQ(delta.logprobs(i).has_token(), !first);
      if (!std::exchange(first, false)) {
        EXPECT_EQ(delta.logprobs(i).token().token(), delta.tokens(i));
        EXPECT_EQ(delta.logprobs(i).top_size(), 2);
        EXPECT_LE(delta.logprobs(i).top(1).logprob(), delta.logprobs(i).top(0).logprob());
      }
    }
  }
  EXPECT_EQ(static_cast<int>(stream.tokens().size()),
            stream.events[0].accepted().prompt_tokens() + 8);
}

TEST_F(GenerationTest, G24_RolesThatDoNotExistAreNamed) {
  for (int role : {0, 5, -1, 1 << 30}) {
    v1::ChatRequest request = ChatRequest("hello");
    request.add_messages()->set_role(static_cast<v1::Role>(role));
    const Stream stream = Chat(request);
    EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(stream.status.error_message(), testing::StartsWith("messages[1].role: "));
  }
}

TEST_F(GenerationTest, G9_UnknownModelIsNotFound) {
  v1::ChatRequest chat = ChatRequest("hello");
  chat.set_model("gpt-4");
  EXPECT_EQ(Chat(chat).status.error_code(), grpc::StatusCode::NOT_FOUND);
  v1::GenerateRequest generate = LongRequest(4);
  generate.set_model("gpt-4");
  EXPECT_EQ(Generate(generate).status.error_code(), grpc::StatusCode::NOT_FOUND);
  generate.set_model(served_.daemon().model_id());
  EXPECT_TRUE(Generate(generate).status.ok());
}

TEST_F(GenerationTest, G10_TooLongAPromptIsRefused) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&text, "word ");
  v1::GenerateRequest request = LongRequest(4);
  request.set_text(text);
  const Stream stream = Generate(request);
  EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(stream.status.error_message(), HasSubstr("text: the prompt has"));
  EXPECT_THAT(stream.status.error_message(), testing::Not(HasSubstr("word")));
}

TEST_F(GenerationTest, G13_DeadlinePassesWhileGenerating) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  const Stream stream = ReadAll(inference_->Generate(&context, LongRequest(900, 4)));
  EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST_F(GenerationTest, G13_DeadlinePassedOnArrival) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  const Stream stream = ReadAll(inference_->Generate(&context, LongRequest(900)));
  EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST_F(GenerationTest, G14_CancelFreesEverything) {
  for (int at = 1; at <= 4; ++at) {  // after so many events
    grpc::ClientContext context;
    const auto reader = inference_->Generate(&context, LongRequest(900, 4));
    Event event;
    for (int i = 0; i < at; ++i) ASSERT_TRUE(reader->Read(&event));
    context.TryCancel();
    while (reader->Read(&event)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(served_.AwaitIdle());
  }
}

TEST_F(GenerationTest, G14_CancelOfOneLeavesTheOthersAlone) {
  const Stream alone = Generate(LongRequest(60));
  grpc::ClientContext doomed;
  const auto victim = inference_->Generate(&doomed, LongRequest(900, 3));
  Event event;
  ASSERT_TRUE(victim->Read(&event));
  grpc::ClientContext context;
  auto reader = inference_->Generate(&context, LongRequest(60));
  ASSERT_TRUE(reader->Read(&event));
  doomed.TryCancel();
  const Stream beside = ReadAll(std::move(reader));
  EXPECT_TRUE(beside.status.ok());
  EXPECT_EQ(beside.tokens(), alone.tokens());
  while (victim->Read(&event)) {
  }
  victim->Finish();
}

TEST(Generation, G11_FullQueueTellsWhenToRetry) {
  Serving serving;
  serving.config.mutable_engine()->set_max_running(1);
  serving.config.mutable_limits()->set_max_queued(1);
  ServedDaemon served(serving);
  const auto inference = served.Inference();
  grpc::ClientContext occupying, context;
  v1::GenerateRequest long_one = LongRequest(1900, 2);
  long_one.mutable_options()->set_ignore_eos(true);
  const auto occupier = inference->Generate(&occupying, long_one);
  v1::GenerateEvent event;
  ASSERT_TRUE(occupier->Read(&event));
  const Stream stream = ReadAll(inference->Generate(&context, LongRequest(900, 2)));
  occupying.TryCancel();
  EXPECT_EQ(stream.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::RpcStatus rpc;
  ASSERT_TRUE(rpc.ParseFromString(stream.status.error_details()));
  ASSERT_EQ(rpc.details_size(), 1);
  EXPECT_EQ(rpc.details(0).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  v1::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(rpc.details(0).value()));
  EXPECT_GE(retry.retry_delay().seconds(), 1);
  EXPECT_TRUE(served.AwaitIdle());  // the choices that had a place gave it back
}

TEST(Generation, G12_LoadingAndDrainingAreUnavailable) {
  ServedDaemon served({.load = false});
  const auto inference = served.Inference();
  const auto attempt = [&] {
    grpc::ClientContext context;
    return ReadAll(inference->Generate(&context, LongRequest(4))).status;
  };
  grpc::Status status = attempt();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("loading"));
  served.Load();
  EXPECT_TRUE(attempt().ok());
  served.daemon().Drain(absl::Seconds(1));
  status = attempt();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
}

TEST(Generation, F2_DrainEndsLateStreamsWithUnavailable) {
  ServedDaemon served;
  const auto inference = served.Inference();
  grpc::ClientContext context;
  auto reader = inference->Generate(&context, LongRequest(900, 4));
  Event event;
  ASSERT_TRUE(reader->Read(&event));
  served.daemon().Drain(absl::Milliseconds(10));
  served.server().Drain(absl::Seconds(2));
  EXPECT_EQ(ReadAll(std::move(reader)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Generation, F2_DrainLetsShortStreamsFinish) {
  ServedDaemon served;
  const auto inference = served.Inference();
  grpc::ClientContext context;
  auto reader = inference->Generate(&context, LongRequest(40));
  Event event;
  ASSERT_TRUE(reader->Read(&event));
  served.daemon().Drain(absl::Seconds(10));
  served.server().Drain(absl::Seconds(2));
  const Stream stream = ReadAll(std::move(reader));
  EXPECT_TRUE(stream.status.ok()) << stream.status.error_message();
  EXPECT_TRUE(stream.events.back().has_usage());
}

}  // namespace
}  // namespace hearth::server
