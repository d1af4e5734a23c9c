#include "server/grpc/grpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "engine/status_macros.h"
#include "server/grpc/acceptor.h"
#include "server/grpc/call_gate.h"
#include "server/grpc/reflection.h"
#include "server/grpc/service.h"

namespace hearth::server {
namespace {

constexpr int kMaxStreamsPerConnection = 100;
constexpr int kStreamWindowBytes = 64 * 1024;
constexpr size_t kBufferBytes = 64 * 1024 * 1024;  // what clients send, all connections together
constexpr int kPingIntervalMs = 30'000;            // clients that ping more often are sent away
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr std::chrono::milliseconds kCancelGrace{200};
constexpr std::chrono::milliseconds kFlushGrace{200};

// What the libraries have to say is about single clients, and would fill the log on their behalf.
// gRPC stays initialised to the end of the process: its shutdown waits up to ten seconds for a
// poller that a stalled write started.
void PrepareLibraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc_init();
    gpr_set_log_function([](gpr_log_func_args* args) { spdlog::debug("grpc: {}", args->message); });
    google::protobuf::SetLogHandler(
        [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
          spdlog::debug("protobuf: {}", message);
        });
  });
}

void SetLimits(const v1::Limits& limits, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(limits.max_body_bytes());
  // A compressed message is refused before it is expanded.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.max_header_bytes());
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, limits.header_timeout_ms());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.idle_timeout_ms());
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // the window stays what it is
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.SetResourceQuota(grpc::ResourceQuota("hearth").Resize(kBufferBytes));
}

bool ServesReflection(const v1::Listen& config, const std::vector<Listener>& listeners) {
  if (config.has_grpc_reflection()) return config.grpc_reflection();
  return std::all_of(listeners.begin(), listeners.end(),
                     [](const Listener& listener) { return listener.is_loopback(); });
}

}  // namespace

// Members are in the order of their construction; gRPC's server goes first at the end.
struct GrpcServer::State {
  State(Daemon& daemon, std::chrono::milliseconds write_timeout)
      : loop(std::make_shared<WriteLoop>(write_timeout)), gate(daemon, loop) {}

  std::shared_ptr<WriteLoop> loop;
  CallGate gate;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Acceptor> acceptor;
};

GrpcServer::GrpcServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

GrpcServer::~GrpcServer() {
  Drain(absl::ZeroDuration());
  state_->loop->Stop();
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(Daemon& daemon,
                                                              std::vector<Listener> listeners) {
  PrepareLibraries();
  const v1::Limits& limits = daemon.config().limits();
  auto state =
      std::make_unique<State>(daemon, std::chrono::milliseconds(limits.write_timeout_ms()));
  state->services.push_back(MakeInferenceService(state->gate));
  state->services.push_back(MakeControlService(state->gate));
  if (ServesReflection(daemon.config().listen(), listeners)) {
    for (auto& service : MakeReflectionServices(state->gate)) {
      state->services.push_back(std::move(service));
    }
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetLimits(limits, builder);
  for (const auto& service : state->services) builder.RegisterService(service.get());
  state->acceptor = std::make_unique<Acceptor>(builder, limits.max_connections(), daemon.metrics());
  state->server = builder.BuildAndStart();
  if (state->server == nullptr) return absl::InternalError("gRPC did not start");
  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(state)));
  server->SetServing(false);
  const Relay::Limits relay_limits{
      .max_header_block = static_cast<size_t>(limits.max_header_bytes()),
      .handshake_timeout = std::chrono::milliseconds(limits.header_timeout_ms()),
      .write_timeout = std::chrono::milliseconds(limits.write_timeout_ms())};
  HEARTH_RETURN_IF_ERROR(
      server->state_->acceptor->Start(std::move(listeners), relay_limits, daemon.tls()));
  return server;
}

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = state_->server->GetHealthCheckService();
  health->SetServingStatus(serving);
  health->SetServingStatus("hearth.v1.Inference", serving);
  health->SetServingStatus("hearth.v1.Control", serving);
}

void GrpcServer::Drain(absl::Duration limit) {
  state_->acceptor->Close();
  state_->loop->PostAll(WriteLoop::Signal::kClosing);
  state_->loop->AwaitIdle(absl::ToChronoMilliseconds(limit));
  state_->server->Shutdown(std::chrono::system_clock::now() + kCancelGrace);
  state_->acceptor->Stop(kFlushGrace);
}

const std::vector<Listener>& GrpcServer::listeners() const { return state_->acceptor->listeners(); }

}  // namespace hearth::server
