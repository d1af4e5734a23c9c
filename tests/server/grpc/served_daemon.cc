#include "tests/server/grpc/served_daemon.h"

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "hearth/v1/error_details.pb.h"
#include "server/config.h"
#include "tests/server/test_file.h"

namespace hearth::server {
namespace {

std::string KeyFile(const std::string& name, const std::string& lines) {
  return lines.empty() ? "" : WriteTestFile(name, lines);
}

ApiKeys ReadKeys(const Serving& serving) {
  absl::StatusOr<ApiKeys> keys = ApiKeys::Read(KeyFile("grpc-keys", serving.keys),
                                               KeyFile("grpc-admin-keys", serving.admin_keys));
  EXPECT_TRUE(keys.ok()) << keys.status();
  return *std::move(keys);
}

TlsCredentials ReadTls(const Serving& serving) {
  if (serving.certificate == nullptr) return TlsCredentials();
  v1::Tls files = serving.certificate->WriteTo("grpc");
  if (serving.client_ca != nullptr) {
    files.set_client_ca_file(WriteTestFile("grpc-ca", serving.client_ca->pem()));
  }
  absl::StatusOr<TlsCredentials> tls = TlsCredentials::Read(files);
  EXPECT_TRUE(tls.ok()) << tls.status();
  return *std::move(tls);
}

}  // namespace

ServedDaemon::ServedDaemon(Serving serving) {
  if (serving.config.model().empty()) {
    serving.config.set_model(absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q8_0.gguf"));
  }
  std::signal(SIGPIPE, SIG_IGN);
  daemon_ = std::make_unique<Daemon>(ResolveDefaults(serving.config), ReadKeys(serving),
                                     ReadTls(serving), serving.on_stop);
  const bool tls = serving.certificate != nullptr;
  ListenAddress address{
      .host = serving.host, .port = 0, .unix_path = serving.unix_path, .tls = tls};
  absl::StatusOr<Listener> listener = Listener::Bind(address, 0600);
  EXPECT_TRUE(listener.ok()) << listener.status();
  std::vector<Listener> listeners;
  listeners.push_back(*std::move(listener));
  address_ = listeners[0].is_unix() ? listeners[0].name()
                                    : absl::StrCat("127.0.0.1:", listeners[0].port());
  if (tls) credentials_ = Trusting(*serving.certificate);
  absl::StatusOr<std::unique_ptr<GrpcServer>> server =
      GrpcServer::Start(*daemon_, std::move(listeners));
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  if (serving.load) Load();
}

ServedDaemon::~ServedDaemon() {
  daemon_->Drain(absl::ZeroDuration());
  server_.reset();
}

void ServedDaemon::Load() {
  EngineOptions options;
  options.model_path = daemon_->config().model();
  options.kv_tokens = 4096;
  options.threads = 1;
  options.max_running = daemon_->config().engine().max_running();
  options.max_queued = daemon_->config().limits().max_queued();
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  daemon_->Serve(*std::move(engine));
  server_->SetServing(true);
}

std::shared_ptr<grpc::Channel> ServedDaemon::NewChannel() const { return NewChannel(credentials_); }

std::shared_ptr<grpc::Channel> ServedDaemon::NewChannel(
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // no sharing between channels
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(address_, credentials, arguments);
}

std::unique_ptr<v1::Inference::Stub> ServedDaemon::Inference() const {
  return v1::Inference::NewStub(NewChannel());
}

std::unique_ptr<v1::Control::Stub> ServedDaemon::Control() const {
  return v1::Control::NewStub(NewChannel());
}

bool ServedDaemon::AwaitIdle() {
  return Eventually([this] {
    const EngineStats stats = daemon_->engine().stats();
    return daemon_->live_tasks() == 0 && stats.running == 0 && stats.queued == 0 &&
           stats.blocks_used == 0;
  });
}

std::shared_ptr<grpc::ChannelCredentials> Trusting(const Certificate& server,
                                                   const Certificate* own) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = server.pem();
  if (own != nullptr) {
    options.pem_cert_chain = own->pem();
    options.pem_private_key = own->private_key_pem();
  }
  return grpc::SslCredentials(options);
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

int ThreadCount() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

int64_t ResidentBytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string Stream::text() const {
  std::string text;
  for (const v1::GenerateEvent& event : events) text += event.delta().text();
  return text;
}

std::vector<int32_t> Stream::tokens() const {
  std::vector<int32_t> tokens;
  for (const v1::GenerateEvent& event : events) {
    tokens.insert(tokens.end(), event.delta().tokens().begin(), event.delta().tokens().end());
  }
  return tokens;
}

Stream ReadAll(std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader) {
  Stream stream;
  v1::GenerateEvent event;
  while (reader->Read(&event)) stream.events.push_back(event);
  stream.status = reader->Finish();
  return stream;
}

std::string RefusedField(const grpc::Status& status) {
  v1::RpcStatus rpc;
  v1::BadRequest bad;
  EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
  EXPECT_EQ(rpc.code(), static_cast<int>(status.error_code()));
  if (rpc.details_size() != 1) return "";
  if (rpc.details(0).type_url() != "type.googleapis.com/google.rpc.BadRequest") return "";
  if (!bad.ParseFromString(rpc.details(0).value()) || bad.field_violations_size() != 1) return "";
  return bad.field_violations(0).field();
}

v1::GenerateRequest LongRequest(int max_tokens, int n) {
  v1::GenerateRequest request;
  request.set_text("a");
  request.mutable_options()->set_max_tokens(max_tokens);
  request.mutable_options()->set_n(n);
  request.mutable_options()->mutable_sampling()->set_seed(3);
  return request;
}

}  // namespace hearth::server
