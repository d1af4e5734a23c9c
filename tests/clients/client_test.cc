// The C++ client against a scripted daemon.
#include "hearth/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include "hearth/v1/error_details.pb.h"
#include "tests/clients/child_process.h"
#include "tests/clients/scripted_daemon.h"

namespace hearth::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Client Connect(const std::string& address, const std::string& key = "") {
  return Client::Create({.address = address, .key = key}).value();
}

v1::ChatRequest Question(const std::string& text) {
  v1::ChatRequest request;
  *request.add_messages() = UserMessage(text);
  return request;
}

TEST(Client, RefusesAddressesAndKeysThatAreNone) {
  for (const char* address :
       {"", "nowhere", ":8081", "host:", "host:x", "unix:", "tls:", "tls:host", "host:0",
        "host:65536", "host:99999999999", "http://host:8080", "tls:http://host:1"}) {
    const auto client = Client::Create({.address = address});
    EXPECT_TRUE(absl::IsInvalidArgument(client.status())) << address;
  }
  const auto client = Client::Create({.key = "a\tb"});
  EXPECT_EQ(client.status().message(), "key: expected printable ASCII");
}

TEST(Client, CollectsAReply) {
  ScriptedDaemon daemon({{"Hel", "lo"}, false, {}});
  const Client client = Connect(daemon.address(), "secret");
  const absl::StatusOr<Reply> reply = Collect(client.Chat(Question("Hi")));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->accepted.id(), "feedbeef");
  EXPECT_EQ(reply->first().text, "Hello");
  EXPECT_THAT(reply->first().tokens, ElementsAre(7, 7));
  EXPECT_EQ(reply->first().finish_reason, v1::FINISH_REASON_STOP);
  EXPECT_EQ(reply->usage.prompt_tokens(), 5);
  EXPECT_EQ(daemon.authorization(), "Bearer secret");
  EXPECT_EQ(daemon.chats().at(0).messages(0).content(), "Hi");
}

TEST(Client, StreamsAreRanges) {
  ScriptedDaemon daemon({{"a", "b"}, false, {}});
  const Client client = Connect(daemon.address());
  v1::GenerateRequest request;
  request.set_text("Once");
  GenerationStream stream = client.Generate(request);
  static_assert(std::input_iterator<GenerationStream::Iterator>);
  std::string text;
  for (const v1::GenerateEvent& event : stream) text += event.delta().text();
  EXPECT_EQ(text, "ab");
  EXPECT_TRUE(stream.status().ok());
  EXPECT_EQ(stream.Next(), nullptr);  // and stays so
}

TEST(Client, PutsToolCallsTogether) {
  v1::ToolCallDelta head, tail, other;
  head.set_id("c0");
  head.set_name("weather");
  head.set_arguments("{\"city\":");
  tail.set_arguments("\"Rome\"}");
  other.set_call(1);
  other.set_name("now");
  ScriptedDaemon daemon({{"sunny"}, false, {}, {head, other, tail}});
  const Client client = Connect(daemon.address());
  v1::ChatRequest request = Question("How is Rome?");
  const Reply reply = Collect(client.Chat(request)).value();
  ASSERT_EQ(reply.first().tool_calls.size(), 2u);
  const v1::ToolCall& call = reply.first().tool_calls.at(0);
  EXPECT_EQ(call.arguments(), "{\"city\":\"Rome\"}");
  EXPECT_EQ(reply.first().finish_reason, v1::FINISH_REASON_TOOL_CALLS);
  *request.add_messages() = reply.first().Message();
  *request.add_messages() = ToolMessage(call, "sunny");
  EXPECT_EQ(Collect(client.Chat(request))->first().text, "sunny");
  EXPECT_EQ(daemon.chats().at(1).messages(2).tool_call_id(), "c0");
}

void WaitForCancelled(const ScriptedDaemon& daemon, int count) {
  for (int i = 0; i < 2000 && daemon.cancelled() < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(daemon.cancelled(), count);
}

TEST(Client, LeavingAStreamCancelsItInTheDaemon) {
  ScriptedDaemon daemon({{"a"}, true, {}});
  const Client client = Connect(daemon.address());
  {
    GenerationStream stream = client.Chat(Question("x"));
    ASSERT_NE(stream.Next(), nullptr);
  }
  WaitForCancelled(daemon, 1);
}

TEST(Client, CancelEndsAStreamFromAnotherThread) {
  ScriptedDaemon daemon({{"a"}, true, {}});
  const Client client = Connect(daemon.address());
  GenerationStream stream = client.Chat(Question("x"));
  ASSERT_NE(stream.Next(), nullptr);
  std::thread other([&stream] { stream.Cancel(); });
  while (stream.Next() != nullptr) {
  }
  EXPECT_TRUE(absl::IsCancelled(stream.status())) << stream.status();
  other.join();
  WaitForCancelled(daemon, 1);
}

TEST(Client, AStopRequestCancels) {
  ScriptedDaemon daemon({{"a"}, true, {}});
  const Client client = Connect(daemon.address());
  std::stop_source source;
  GenerationStream stream = client.Chat(Question("x"), {.stop = source.get_token()});
  ASSERT_NE(stream.Next(), nullptr);
  source.request_stop();
  while (stream.Next() != nullptr) {
  }
  EXPECT_TRUE(absl::IsCancelled(stream.status()));
  // One that came before the call does, too.
  EXPECT_TRUE(absl::IsCancelled(client.GetLoad({.stop = source.get_token()}).status()));
}

TEST(Client, TimeoutsEndCalls) {
  ScriptedDaemon daemon({{"a"}, true, {}});
  const Client client = Connect(daemon.address());
  const absl::Status status =
      Collect(client.Chat(Question("x"), {.timeout = std::chrono::milliseconds(100)})).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

grpc::Status WithDetail(grpc::StatusCode code, const std::string& message, const char* type,
                        const google::protobuf::Message& detail) {
  v1::RpcStatus rpc;
  rpc.set_code(code);
  rpc.set_message(message);
  rpc.add_details()->set_type_url(std::string("type.googleapis.com/google.rpc.") + type);
  rpc.mutable_details(0)->set_value(detail.SerializeAsString());
  return {code, message, rpc.SerializeAsString()};
}

TEST(Client, ErrorsNameTheirField) {
  v1::BadRequest detail;
  detail.add_field_violations()->set_field("temperature");
  ScriptedDaemon daemon({{},
                         false,
                         WithDetail(grpc::StatusCode::INVALID_ARGUMENT,
                                    "temperature: must be within [0, 2]", "BadRequest", detail)});
  const absl::Status status = Connect(daemon.address()).GetLoad().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "temperature: must be within [0, 2]");
  EXPECT_EQ(FieldOf(status), "temperature");
  EXPECT_EQ(RetryAfter(status), std::nullopt);
}

TEST(Client, ErrorsSayWhenToTryAgain) {
  v1::RetryInfo detail;
  detail.mutable_retry_delay()->set_seconds(2);
  detail.mutable_retry_delay()->set_nanos(500'000'000);
  const Script script{
      {},
      false,
      WithDetail(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", "RetryInfo", detail)};
  ScriptedDaemon daemon(script);
  const absl::Status status = Collect(Connect(daemon.address()).Chat(Question("x"))).status();
  EXPECT_EQ(RetryAfter(status), std::chrono::milliseconds(2500));
  EXPECT_EQ(FieldOf(status), std::nullopt);
  const Outcome outcome = RunProgram({HEARTH_CLI, "load", "--address", daemon.address()});
  EXPECT_EQ(outcome.err, "hearth: the queue is full; try again in 2.5 s\n");
}

TEST(Client, DetailsThatAreNoneAreLeftOut) {
  v1::RetryInfo far;
  far.mutable_retry_delay()->set_seconds(std::numeric_limits<int64_t>::max());
  for (const grpc::Status& end :
       {grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "m", "\xff\xff"),
        WithDetail(grpc::StatusCode::UNAVAILABLE, "m", "RetryInfo", far),
        WithDetail(grpc::StatusCode::INVALID_ARGUMENT, "m", "BadRequest", v1::BadRequest())}) {
    ScriptedDaemon daemon({{}, false, end});
    const absl::Status status = Connect(daemon.address()).GetLoad().status();
    EXPECT_EQ(status.message(), "m");
    EXPECT_EQ(FieldOf(status), std::nullopt);
    EXPECT_EQ(RetryAfter(status), std::nullopt);
  }
}

TEST(Client, ReachesEveryMethod) {
  ScriptedDaemon daemon;
  const Client client = Connect(daemon.address());
  v1::TokenizeRequest tokenize;
  tokenize.set_text("ab");
  EXPECT_THAT(client.Tokenize(tokenize)->ids(), ElementsAre('a', 'b'));
  v1::DetokenizeRequest detokenize;
  detokenize.add_ids('a');
  EXPECT_EQ(client.Detokenize(detokenize)->text(), "a");
  v1::RenderChatRequest render;
  *render.mutable_chat() = Question("Hi");
  EXPECT_EQ(client.RenderChat(render)->text(), "Hi");
  v1::EmbedRequest embed;
  embed.add_inputs()->set_text("abcd");
  EXPECT_THAT(client.Embed(embed)->embeddings(0).values(), ElementsAre(4, 2));
  v1::ScoreRequest score;
  score.add_candidates("yes");
  EXPECT_EQ(client.Score(score)->candidates(0).logprob(), -3);
  EXPECT_EQ(client.Estimate(v1::EstimateRequest())->queue_position(), 3);
  v1::CancelRequest cancel;
  cancel.set_id("feedbeef");
  EXPECT_TRUE(client.Cancel(cancel)->found());
  EXPECT_EQ(client.GetModel()->id(), "phi-4-mini");
  EXPECT_EQ(client.GetLoad()->running(), 3);
  v1::WatchLoadRequest watch;
  watch.set_interval_ms(1);
  LoadStream loads = client.WatchLoad(watch);
  int count = 0;
  for (const v1::GetLoadResponse& load : loads) count += load.max_running() == 16;
  EXPECT_EQ(count, 3);
  EXPECT_EQ(client.Drain()->under_way(), 2);
  EXPECT_TRUE(client.FlushCache().ok());
  EXPECT_EQ(client.PinPrefix(v1::PinPrefixRequest())->tokens(), 64);
  EXPECT_TRUE(client.UnpinPrefix(v1::UnpinPrefixRequest()).ok());
}

TEST(Client, ManyThreadsShareOne) {
  ScriptedDaemon daemon({{"a", "b"}, false, {}});
  const Client client = Connect(daemon.address());
  std::vector<std::thread> threads;
  std::atomic<int> whole = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10; ++j) {
        const absl::StatusOr<Reply> reply = Collect(client.Chat(Question("x")));
        whole += reply.ok() && reply->first().text == "ab";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(whole, 80);
}

TEST(Client, SpeaksOverUnixSockets) {
  const std::string address =
      "unix:" + ::testing::TempDir() + "client-" + std::to_string(getpid()) + ".sock";
  ScriptedDaemon daemon({}, address);
  EXPECT_EQ(Connect(address).GetLoad()->running(), 3);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Gives a certificate to hearth.test, by itself; then `path` + ".key" and ".crt" are PEM files.
void MakeCertificate(const std::string& path) {
  const Outcome made = RunProgram({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                   "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                                   "/CN=hearth.test", "-addext", "subjectAltName=DNS:hearth.test",
                                   "-keyout", path + ".key", "-out", path + ".crt"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
}

TEST(Client, SpeaksTls) {
  const std::string path = ::testing::TempDir() + "client-tls-" + std::to_string(getpid());
  MakeCertificate(path);
  const std::string certificate = ReadAll(path + ".crt"), key = ReadAll(path + ".key");
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({key, certificate});
  ScriptedDaemon daemon({}, "localhost:0", grpc::SslServerCredentials(options));
  const auto load = [&daemon](const Tls& tls) {
    return Client::Create({.address = "tls:" + daemon.address(), .tls = tls})->GetLoad();
  };
  EXPECT_EQ(load({.root_certificates = certificate, .server_name = "hearth.test"})->running(), 3);
  EXPECT_TRUE(absl::IsUnavailable(load({.root_certificates = certificate}).status()));  // of whom?
  EXPECT_TRUE(absl::IsUnavailable(load({.server_name = "hearth.test"}).status()));  // who says so?
  EXPECT_TRUE(absl::IsUnavailable(Connect(daemon.address()).GetLoad().status()));
}

TEST(Client, ShowsItsCertificate) {
  const std::string path = ::testing::TempDir() + "client-mtls-" + std::to_string(getpid());
  MakeCertificate(path);
  const std::string certificate = ReadAll(path + ".crt"), key = ReadAll(path + ".key");
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = certificate;
  options.pem_key_cert_pairs.push_back({key, certificate});
  ScriptedDaemon daemon({}, "localhost:0", grpc::SslServerCredentials(options));
  Tls tls{.root_certificates = certificate, .server_name = "hearth.test"};
  const std::string address = "tls:" + daemon.address();
  EXPECT_FALSE(Client::Create({.address = address, .tls = tls})->GetLoad().ok());
  tls.certificate = certificate;
  tls.private_key = key;
  EXPECT_EQ(Client::Create({.address = address, .tls = tls})->GetLoad()->running(), 3);
}

TEST(Client, RefusesCertificatesThatItWouldNotUse) {
  const auto client = Client::Create({.tls = {.server_name = "hearth.test"}});
  EXPECT_EQ(client.status().message(), "address: expected tls:HOST:PORT, found 127.0.0.1:8081");
}

}  // namespace
}  // namespace hearth::testing
