// Rows S of the catalogue, on a small random model.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/ascii.h"
#include "server/http/sse.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

// From a client's leaving to its blocks' being free, on a busy machine; otherwise it is 250 ms.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr absl::Duration kSoon = absl::Seconds(5);
#else
constexpr absl::Duration kSoon = absl::Seconds(1);
#endif

// What this process holds.
struct Held {
  static std::ptrdiff_t Entries(const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  }

  std::ptrdiff_t descriptors = Entries("/proc/self/fd");
  std::ptrdiff_t threads = Entries("/proc/self/task");
  bool IsWithin(const Held& other) const {
    return descriptors <= other.descriptors && threads <= other.threads;
  }
};

class StreamingTest : public EitherWay {
 protected:
  void SetUp() override { StartWithModel(); }

  // Long enough to outlive what a test does to it.
  static constexpr uint64_t kLongTokens = 1900;
  std::string Long(int n = 1) const {
    return absl::StrCat(R"({"prompt":"a b","stream":true,"max_tokens":)", kLongTokens / n,
                        ",\"n\":", n, ",", Endless(), "}");
  }

  uint64_t Drawn() const { return daemon_->engine().stats().tokens_generated; }

  bool Freed() const {
    const EngineStats stats = daemon_->engine().stats();
    return daemon_->live_tasks() == 0 && stats.running == 0 && stats.blocks_used == 0;
  }

  // Row S15, of a request with n: 2, stream and include_usage.
  void ExpectTwoWholeChoices(std::string_view path, std::string_view body);
};

INSTANTIATE_TEST_SUITE_P(, StreamingTest, testing::Bool(), EitherWay::Name);

std::vector<Json> Parsed(const std::vector<std::string>& events) {
  std::vector<Json> parsed;
  for (const std::string& event : events) {
    if (event == "[DONE]") continue;
    parsed.push_back(Json::parse(event, nullptr, false));
    EXPECT_FALSE(parsed.back().is_discarded()) << event;
  }
  return parsed;
}

void StreamingTest::ExpectTwoWholeChoices(std::string_view path, std::string_view body) {
  const bool chat = path == "/v1/chat/completions";
  const size_t opening = chat ? 2 : 0;  // chunks that say who speaks
  const RawReply reply = Post(path, body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(reply.headers.at("cache-control"), "no-cache");
  const std::vector<std::string> raw = Events(reply.body);
  EXPECT_EQ(std::count(raw.begin(), raw.end(), "[DONE]"), 1);
  EXPECT_EQ(raw.back(), "[DONE]");
  const std::vector<Json> events = Parsed(raw);
  int finals[2] = {};
  for (size_t i = 0; i < events.size(); ++i) {
    const Json& event = events[i];
    EXPECT_EQ(event["id"], events[0]["id"]);
    EXPECT_EQ(event["object"], chat ? "chat.completion.chunk" : "text_completion");
    if (i + 1 == events.size()) {
      EXPECT_EQ(event["choices"], Json::array());
      EXPECT_GT(event["usage"]["total_tokens"], 0);
      continue;
    }
    EXPECT_TRUE(event["usage"].is_null());
    ASSERT_EQ(event["choices"].size(), 1u);
    const Json& choice = event["choices"][0];
    const int index = choice["index"];
    EXPECT_EQ(finals[index], 0) << "a chunk after the final one";
    if (i < opening) {
      EXPECT_EQ(index, i);
      EXPECT_EQ(choice["delta"]["role"], "assistant");
      EXPECT_EQ(choice["delta"]["content"], "");
    } else if (!choice["finish_reason"].is_null()) {
      EXPECT_EQ(choice.value("delta", Json::object()), Json::object());
      EXPECT_EQ(choice.value("text", ""), "");
      ++finals[index];
    }
  }
  EXPECT_EQ(finals[0], 1);
  EXPECT_EQ(finals[1], 1);
}

TEST_P(StreamingTest, S15_StreamsAreShapedAsOpenAIs) {
  const std::string members =
      R"("stream":true,"n":2,"max_tokens":6,"stream_options":{"include_usage":true}})";
  ExpectTwoWholeChoices("/v1/chat/completions",
                        absl::StrCat(R"({"messages":[{"role":"user","content":"hi"}],)", members));
  ExpectTwoWholeChoices("/v1/completions", absl::StrCat(R"({"prompt":"hi",)", members));
}

TEST_P(StreamingTest, StreamedTextIsTheWholeText) {
  const std::string members = R"("prompt":"once","max_tokens":30,"seed":3,"temperature":1)";
  const Json whole = Post("/v1/completions", absl::StrCat("{", members, "}")).json();
  const RawReply reply = Post("/v1/completions", absl::StrCat("{\"stream\":true,", members, "}"));
  std::string text;
  std::string finish;
  for (const Json& event : Parsed(Events(reply.body))) {
    EXPECT_EQ(event["object"], "text_completion");
    EXPECT_EQ(event.count("usage"), 0u);
    text += event["choices"][0]["text"].get<std::string>();
    if (event["choices"][0]["finish_reason"].is_string()) {
      finish = event["choices"][0]["finish_reason"];
    }
  }
  EXPECT_EQ(text, whole["choices"][0]["text"]);
  EXPECT_EQ(finish, whole["choices"][0]["finish_reason"]);
}

TEST_P(StreamingTest, S1_ClientThatClosesFreesItsGeneration) {
  struct Leaving {
    const char* after;
    int times;
  };
  // The headers, the first token, and many.
  for (const auto& [after, times] : {Leaving{"\r\n\r\n", 1}, {"data: ", 1}, {"data: ", 20}}) {
    const uint64_t before = Drawn();
    {
      RawClient client(listener());
      client.ReadSlowly();  // so that it cannot be done before the client leaves
      client.Send(RequestText("POST", "/v1/completions", Long()));
      for (int i = 0; i < times; ++i) ASSERT_THAT(client.ReceiveUntil(after), EndsWith(after));
    }
    EXPECT_TRUE(Eventually([&] { return Freed(); }, kSoon)) << after << times;
    EXPECT_LT(Drawn() - before, kLongTokens);
  }
}

TEST_P(StreamingTest, S1_ClientThatClosesAfterTheLastTokenLeavesNothing) {
  {
    RawClient client(listener());
    client.Send(RequestText(
        "POST", "/v1/completions",
        absl::StrCat(R"({"prompt":"a b","stream":true,"max_tokens":20,)", Endless(), "}")));
    const char* last = "\"finish_reason\":\"length\"";
    ASSERT_THAT(client.ReceiveUntil(last), EndsWith(last));
  }
  EXPECT_TRUE(Eventually([&] { return Freed(); }, kSoon));
}

TEST_P(StreamingTest, F15_ResetFreesItsGeneration) {
  RawClient client(listener());
  client.ReadSlowly();
  client.Send(RequestText("POST", "/v1/completions", Long()));
  client.ReceiveUntil("data: ");
  client.Reset();
  EXPECT_TRUE(Eventually([&] { return Freed(); }));
  EXPECT_LT(Drawn(), kLongTokens);
}

TEST_P(StreamingTest, S2_HalfClosedClientIsStillServed) {
  RawClient client(listener());
  client.Send(
      RequestText("POST", "/v1/completions", R"({"prompt":"a b","stream":true,"max_tokens":100})"));
  client.HalfClose();
  EXPECT_EQ(Events(client.Receive().body).back(), "[DONE]");
}

TEST_P(StreamingTest, S7_EachEventIsOneLine) {
  const RawReply reply =
      Post("/v1/completions", R"({"prompt":"a","stream":true,"max_tokens":60,"temperature":2})");
  ForEachPart(reply.body, '\n', [](std::string_view line) {
    EXPECT_TRUE(line.empty() || line.starts_with("data: ") || line.starts_with(": ")) << line;
  });
}

void ExpectPlainError(const RawReply& reply, int status) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.headers.at("content-type"), "application/json");
  EXPECT_THAT(reply.body, Not(HasSubstr("data:")));
  EXPECT_FALSE(reply.error("message").empty()) << reply.body;
}

TEST_P(StreamingTest, S9_ErrorBeforeTheFirstTokenIsAPlainOne) {
  const RawReply refused = Post("/v1/completions", R"({"prompt":[-1],"stream":true})");
  ExpectPlainError(refused, 400);
  EXPECT_EQ(refused.error("param"), "prompt");
  const RawReply failed = Post(
      "/v1/completions",
      absl::StrCat(R"({"prompt":"a","stream":true,"guided_json":)", SchemaOfTooManyWays(), "}"));
  ExpectPlainError(failed, 400);
}

TEST_P(StreamingTest, S8_ErrorInMidStreamEndsItWithoutDone) {
  RawClient client(listener());
  client.Send(RequestText("POST", "/v1/completions", Long()));
  client.ReceiveUntil("data: ");
  daemon_->Drain(absl::ZeroDuration());
  const std::string rest = client.ReceiveUntil("0\r\n\r\n");
  const std::string end = rest.substr(rest.size() - std::min<size_t>(rest.size(), 200));
  EXPECT_THAT(end, HasSubstr(R"(data: {"error":{"message":)"));
  EXPECT_THAT(end, HasSubstr(R"("code":"draining")"));
  EXPECT_EQ(rest.find("[DONE]"), std::string::npos);
  EXPECT_TRUE(client.Ends());
}

TEST_P(StreamingTest, S10_BytesSentMeanwhileAreTheNextRequest) {
  RawClient client(listener());
  client.Send(
      RequestText("POST", "/v1/completions", R"({"prompt":"a","stream":true,"max_tokens":20})"));
  client.ReceiveUntil("\r\n\r\n");
  client.Send(RequestText("GET", "/health"));
  client.ReceiveUntil("0\r\n\r\n");
  EXPECT_EQ(client.Receive().body, R"({"status":"ok"})");
}

TEST_P(StreamingTest, S11_LastEventIdIsIgnored) {
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"a","stream":true,"max_tokens":2})",
                 "Last-Event-ID: 5\r\n")
                .status,
            200);
}

TEST_P(StreamingTest, S13_Http10ClientGetsNoChunks) {
  const std::string body = R"({"prompt":"a","stream":true,"max_tokens":5})";
  RawClient client(listener());
  client.Send(
      absl::StrCat("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
                   "Content-Length: ",
                   body.size(), "\r\n\r\n", body));
  const RawReply reply = client.Receive();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(reply.headers.count("content-length"), 0u);
  EXPECT_TRUE(reply.body.starts_with("data: ")) << reply.body;
  EXPECT_EQ(Events(reply.body).back(), "[DONE]");
}

TEST_P(StreamingTest, S14_ManyOpenAndCloseLeaveNothing) {
  const auto idle = [&] { return Freed() && server_->open_connections() == 0; };
  EXPECT_EQ(Get("/health").status, 200);  // has opened what is opened once
  ASSERT_TRUE(Eventually(idle));
  const Held before;
  for (int i = 0; i < 200; ++i) {
    RawClient client(listener());
    client.Send(RequestText("POST", "/v1/completions", Long()));
    if (i % 2 == 0) client.ReceiveUntil("\r\n\r\n");
  }
  EXPECT_TRUE(Eventually(idle, absl::Seconds(20)));
  EXPECT_TRUE(Eventually([&] { return Held().IsWithin(before); }))
      << Held().descriptors << " descriptors, before " << before.descriptors << "; "
      << Held().threads << " threads, before " << before.threads;
}

class FewConnectionsTest : public StreamingTest {
 protected:
  FewConnectionsTest() { config_.mutable_limits()->set_max_connections(3); }
};

INSTANTIATE_TEST_SUITE_P(, FewConnectionsTest, testing::Bool(), EitherWay::Name);

TEST_P(FewConnectionsTest, F17_ConnectionsBeyondTheLimitGet503AtOnce) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    RawClient& client = *clients.emplace_back(std::make_unique<RawClient>(listener()));
    client.ReadSlowly();
    client.Send(RequestText("POST", "/v1/completions", Long()));
    ASSERT_THAT(client.ReceiveUntil("data: "), HasSubstr("200 OK"));
  }
  RawClient beyond(listener());
  if (has_tls()) {
    EXPECT_TRUE(beyond.Ends());  // instead of hands shaken for a 503
  } else {
    const RawReply reply = beyond.Receive();
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.error("code"), "overloaded");
    EXPECT_EQ(reply.headers.at("retry-after"), "1");
  }
  clients.clear();
  ASSERT_TRUE(Eventually([&] { return server_->open_connections() == 0; }));
  EXPECT_EQ(Get("/health").status, 200);
}

class SlowReaderTest : public StreamingTest {
 protected:
  SlowReaderTest() {
    config_.mutable_limits()->set_write_timeout_ms(300);
    config_.mutable_limits()->set_stream_buffer_bytes(16384);
  }
};

INSTANTIATE_TEST_SUITE_P(, SlowReaderTest, testing::Bool(), EitherWay::Name);

TEST_P(SlowReaderTest, S3_ReaderThatNeverReadsIsCutAndOthersAreServed) {
  RawClient stalled(has_tls() ? tls() : local());
  stalled.ReadSlowly();
  stalled.Send(RequestText("POST", "/v1/completions", Long(4)));
  ASSERT_TRUE(Eventually([&] { return daemon_->engine().stats().tokens_generated > 0; }));
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"a","max_tokens":3})").status, 200);
  EXPECT_TRUE(Eventually([&] { return Freed(); }, absl::Seconds(60)));
  EXPECT_EQ(stalled.ReceiveUntil("[DONE]").find("[DONE]"), std::string::npos);
}

TEST_P(SlowReaderTest, S4_ReaderOfAByteAtATimeIsCut) {
  RawClient slow(listener());
  slow.ReadSlowly();
  slow.Send(RequestText("POST", "/v1/completions", Long(4)));
  ASSERT_TRUE(Eventually([&] { return daemon_->engine().stats().tokens_generated > 0; }));
  const bool freed = Eventually(
      [&] {
        slow.ReadByte();
        absl::SleepFor(absl::Milliseconds(15));
        return Freed();
      },
      absl::Seconds(60));
  EXPECT_TRUE(freed);
  EXPECT_EQ(slow.ReceiveUntil("[DONE]").find("[DONE]"), std::string::npos);
}

constexpr char kShort[] = R"({"prompt":"a","stream":true,"max_tokens":3})";

class QueuedStreamTest : public StreamingTest {
 protected:
  QueuedStreamTest() {
    config_.set_model(HEARTH_SOURCE_DIR "/deploy/demo/hearth-demo-q8_0.gguf");  // takes its time
    config_.mutable_engine()->set_max_running(1);
  }

  // Streams after which a later one has to wait.
  std::vector<std::unique_ptr<RawClient>> Occupy(int streams) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < streams; ++i) {
      clients.push_back(std::make_unique<RawClient>(listener()));
      clients.back()->Send(RequestText("POST", "/v1/completions", Long()));
      EXPECT_TRUE(Eventually([&] { return daemon_->live_tasks() == i + 1; }));
    }
    EXPECT_TRUE(Eventually([&] { return daemon_->engine().stats().running == 1; }));
    return clients;
  }
};
INSTANTIATE_TEST_SUITE_P(, QueuedStreamTest, testing::Bool(), EitherWay::Name);

TEST_P(QueuedStreamTest, S9_DeadlineBeforeTheFirstTokenIsAPlainError) {
  const auto before = Occupy(4);
  const RawReply reply = Post("/v1/completions", kShort, "X-Hearth-Timeout-Ms: 100\r\n");
  ExpectPlainError(reply, 504);
  EXPECT_EQ(reply.error("code"), "timeout");
}

class ImpatientStreamTest : public QueuedStreamTest {
 protected:
  ImpatientStreamTest() { config_.mutable_limits()->set_queue_timeout_ms(200); }
};
INSTANTIATE_TEST_SUITE_P(, ImpatientStreamTest, testing::Bool(), EitherWay::Name);

TEST_P(ImpatientStreamTest, S9_QueueTimeoutIsAPlainError) {
  const auto before = Occupy(1);
  const RawReply reply = Post("/v1/completions", kShort);
  ExpectPlainError(reply, 503);
  EXPECT_EQ(reply.error("code"), "overloaded");
  EXPECT_EQ(reply.headers.count("retry-after"), 1u);
}

// Choices wait for their siblings, which are nobody else.
TEST_P(ImpatientStreamTest, ChoicesDoNotTimeEachOtherOut) {
  const RawReply reply =
      Post("/v1/completions",
           R"({"prompt":["a","b","c"],"max_tokens":1000,"ignore_eos":true,"seed":1})");
  EXPECT_EQ(reply.status, 200) << reply.body.substr(0, 300);
}

class KeepAliveTest : public QueuedStreamTest {
 protected:
  KeepAliveTest() { config_.mutable_limits()->set_keep_alive_ms(50); }
};
INSTANTIATE_TEST_SUITE_P(, KeepAliveTest, testing::Bool(), EitherWay::Name);

TEST_P(KeepAliveTest, S12_CommentsComeWhileAPromptWaits) {
  auto before = Occupy(4);
  RawClient client(listener());
  client.Send(RequestText("POST", "/v1/completions", kShort));
  EXPECT_EQ(client.ReceiveHead().status, 200);
  for (int i = 0; i < 2; ++i) {
    const std::string chunk = client.ReceiveUntil("\n\n");
    EXPECT_THAT(chunk, EndsWith("\n: keep-alive\n\n"));
  }
  before.clear();
  EXPECT_THAT(client.ReceiveUntil("[DONE]"), HasSubstr("[DONE]"));
}

class KeyedStreamTest : public HttpTest {
 protected:
  void SetUp() override { StartWithModel("old-key\n"); }
};

TEST_F(KeyedStreamTest, B15_AStreamOutlivesItsKey) {
  const std::string key = "Authorization: Bearer old-key\r\n";
  const std::string body =
      absl::StrCat(R"({"prompt":"a b","stream":true,"max_tokens":1900,)", Endless(), "}");
  RawClient client(tcp());
  client.Send(RequestText("POST", "/v1/completions", body, key));
  EXPECT_THAT(client.ReceiveUntil("data: "), HasSubstr("200 OK"));
  WriteTestFile("keys", "new-key\n");
  ASSERT_TRUE(daemon_->Reload().ok());
  EXPECT_EQ(Get("/v1/models", key).status, 401);
  EXPECT_EQ(Get("/v1/models", "Authorization: Bearer new-key\r\n").status, 200);
  EXPECT_THAT(client.ReceiveUntil("[DONE]"), HasSubstr("[DONE]"));
}

TEST(Sse, S12_CommentsFillSilenceOnly) {
  std::string sent;
  const auto write = [&sent](std::string_view bytes) {
    sent += bytes;
    return true;
  };
  SseStream patient(write, std::chrono::hours(1));
  EXPECT_TRUE(patient.KeepAliveIfSilent());
  EXPECT_EQ(sent, "");
  SseStream stream(write, std::chrono::milliseconds(20));
  EXPECT_TRUE(stream.Send({"", "{}"}));
  absl::SleepFor(absl::Milliseconds(25));
  EXPECT_TRUE(stream.KeepAliveIfSilent());
  EXPECT_TRUE(stream.KeepAliveIfSilent());
  EXPECT_EQ(sent, "data: {}\n\n: keep-alive\n\n");
}

TEST(Sse, SaysWhenTheClientIsGone) {
  SseStream stream([](std::string_view) { return false; }, std::chrono::hours(1));
  EXPECT_FALSE(stream.Send({"", "{}"}));
  EXPECT_FALSE(stream.KeepAlive());
}

}  // namespace
}  // namespace hearth::server
