// An HttpServer on free ports, with a daemon that loads still or serves a small random model.
#ifndef HEARTH_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_
#define HEARTH_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_

#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/http/http_server.h"
#include "server/http/json.h"
#include "tests/server/certificates.h"
#include "tests/server/http/raw_client.h"
#include "tests/server/test_file.h"

namespace hearth::server {

// Compiles, and fails at its first mask: "[[" can be read in too many ways.
inline std::string SchemaOfTooManyWays() {
  Json inner, schema;
  for (int i = 1; i <= 40; ++i) inner["anyOf"].push_back({{"type", "array"}, {"maxItems", i}});
  for (int i = 1; i <= 40; ++i) {
    inner["title"] = i;  // none is the same as another
    schema["anyOf"].push_back(
        {{"type", "array"}, {"prefixItems", Json::array({inner})}, {"maxItems", i}});
  }
  return schema.dump();
}

class HttpTest : public testing::Test {
 protected:
  HttpTest() {
    config_.set_model(absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q8_0.gguf"));
    config_.set_model_id("tiny");
    std::signal(SIGPIPE, SIG_IGN);
  }

  ~HttpTest() override {
    server_.reset();
    daemon_.reset();
  }

  // Starts on loopback TCP, on a Unix socket and with TLS. `keys` are the lines of the key file.
  void Start(std::string_view keys = "") {
    if (!keys.empty()) {
      config_.mutable_auth()->set_key_file(WriteTestFile("keys", std::string(keys)));
    }
    auto read = ApiKeys::Read(config_.auth().key_file());
    auto tls = TlsCredentials::Read(Certificate().WriteTo("server"));
    ASSERT_TRUE(read.ok() && tls.ok()) << read.status() << tls.status();
    daemon_ = std::make_unique<Daemon>(ResolveDefaults(config_), *std::move(read), *std::move(tls));
    std::vector<Listener> listeners;
    const std::string path = absl::StrCat("unix:", testing::TempDir(), "/http.", getpid());
    for (const std::string& address :
         {std::string("127.0.0.1:0"), path, std::string("tls:127.0.0.1:0")}) {
      absl::StatusOr<Listener> listener = Listener::Bind(*ParseListenAddress(address), 0600);
      ASSERT_TRUE(listener.ok()) << listener.status();
      listeners.push_back(*std::move(listener));
    }
    auto server = HttpServer::Start(*daemon_, std::move(listeners));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Start, and serve.
  void StartWithModel(std::string_view keys = "") {
    Start(keys);
    EngineOptions options;
    options.model_path = daemon_->config().model();
    options.kv_tokens = 2048;
    options.threads = 2;
    options.max_running = daemon_->config().engine().max_running();
    auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    daemon_->Serve(*std::move(engine));
  }

  // A member of a request that keeps the stop tokens from being drawn: it ends by max_tokens alone.
  std::string Endless() const {
    std::string bias = "\"logit_bias\":{";
    for (TokenId id : daemon_->engine().tokenizer().stop_tokens()) {
      absl::StrAppend(&bias, bias.back() == '{' ? "" : ",", "\"", id, "\":-100");
    }
    return bias + "}";
  }

  // The listener a test is about.
  virtual const Listener& listener() const { return tcp(); }
  const Listener& tcp() const { return server_->listeners()[0]; }
  const Listener& local() const { return server_->listeners()[1]; }
  const Listener& tls() const { return server_->listeners()[2]; }

  // One request on a connection of its own.
  RawReply Exchange(std::string_view request) const {
    RawClient client(listener());
    client.Send(request);
    return client.Receive();
  }
  RawReply Post(std::string_view path, std::string_view body, std::string_view headers = "") const {
    return Exchange(RequestText("POST", path, body, headers));
  }
  RawReply Get(std::string_view path, std::string_view headers = "") const {
    return Exchange(RequestText("GET", path, "", headers));
  }

  template <typename Condition>
  static bool Eventually(Condition condition, absl::Duration limit = absl::Seconds(5)) {
    const absl::Time deadline = absl::Now() + limit;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }

  v1::Config config_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<HttpServer> server_;
};

// Of what holds with TLS and without.
class EitherWay : public HttpTest, public testing::WithParamInterface<bool> {
 protected:
  bool has_tls() const { return GetParam(); }
  const Listener& listener() const override { return has_tls() ? tls() : tcp(); }

 public:
  static std::string Name(const testing::TestParamInfo<bool>& tls) {
    return tls.param ? "Tls" : "Plain";
  }
};

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_
