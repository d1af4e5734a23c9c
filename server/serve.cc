// hearthd serve: the life of the daemon, from the command line to the last drained stream.
#include <malloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/grpc/grpc_server.h"
#include "server/http/http_server.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/signals.h"
#include "server/status.h"
#include "server/version.h"

namespace hearth::server {
namespace {

// Of listeners that do not open.
ExitCode OpenExitCode(const absl::Status& status) {
  if (absl::IsPermissionDenied(status)) return kExitPermission;
  if (absl::IsFailedPrecondition(status)) return kExitConfig;
  return kExitOs;
}

// One line for each line of the message: a configuration has many errors at once.
int Fail(const absl::Status& status, ExitCode code) {
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    absl::FPrintF(stderr, "hearthd: %s\n", line);
  }
  return code;
}

// What large requests took goes back when they are done. glibc would keep blocks up to the largest
// size ever freed, in each of dozens of arenas: tens of MiB beyond the plan. REQUIRES: one thread.
void ReturnFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_ARENA_MAX, 4);
}

// The file under the flags, checked, with every default filled in.
absl::StatusOr<v1::Config> MakeConfig(const ServeOptions& options) {
  v1::Config config;
  if (!options.config_path.empty()) {
    HEARTH_ASSIGN_OR_RETURN(config, ReadConfig(options.config_path));
  }
  // A list is replaced, not continued.
  if (!options.flags.listen().http().empty()) config.mutable_listen()->clear_http();
  if (!options.flags.listen().grpc().empty()) config.mutable_listen()->clear_grpc();
  config.MergeFrom(options.flags);
  config = ResolveDefaults(std::move(config));
  HEARTH_RETURN_IF_ERROR(ValidateConfig(config));
  return config;
}

std::optional<KvType> ToKvType(v1::KvType type) {
  switch (type) {
    case v1::int8:
      return KvType::kInt8;
    case v1::f16:
      return KvType::kF16;
    case v1::f32:
      return KvType::kF32;
    default:
      return std::nullopt;
  }
}

void LogLine(absl::LogSeverity severity, const std::string& line) {
  spdlog::log(severity == absl::LogSeverity::kInfo ? spdlog::level::info : spdlog::level::warn,
              "{}", line);
}

EngineOptions ToEngineOptions(const v1::Config& config) {
  const v1::Engine& engine = config.engine();
  return {
      .model_path = config.model(),
      .threads = engine.threads(),
      .isa = engine.isa(),
      .kv_type = ToKvType(engine.kv_type()),
      .kv_tokens = engine.kv_tokens(),
      .max_context = engine.max_context(),
      .memory_limit = static_cast<uint64_t>(engine.memory_limit_bytes()),
      .default_max_tokens = engine.default_max_tokens(),
      .max_running = engine.max_running(),
      .max_queued = config.limits().max_queued(),
      .max_batch_tokens = engine.max_batch_tokens(),
      .inter_token_target = std::chrono::milliseconds(engine.inter_token_target_ms()),
      .prefix_cache = engine.prefix_cache(),
      .cache_directory = engine.cache_directory(),
      .log = LogLine,
  };
}

absl::StatusOr<std::vector<Listener>> BindAll(
    const google::protobuf::RepeatedPtrField<std::string>& texts, const std::string& unix_mode) {
  const auto mode = static_cast<mode_t>(std::stoi(unix_mode, nullptr, 8));  // validated
  std::vector<Listener> listeners;
  for (const std::string& text : texts) {
    HEARTH_ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(text));
    HEARTH_ASSIGN_OR_RETURN(Listener listener, Listener::Bind(address, mode));
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

// The rules ValidateConfig has for addresses, for sockets that systemd has bound.
absl::Status CheckListeners(const std::vector<Listener>& listeners, const v1::Config& config) {
  for (const Listener& listener : listeners) {
    const absl::Status status =
        CheckListener(listener.name(), listener.is_loopback(), listener.is_tls(), config);
    if (status.ok()) continue;
    return absl::FailedPreconditionError(absl::StrCat("socket activation: ", status.message()));
  }
  return absl::OkStatus();
}

// Sockets from systemd, else those the configuration names.
absl::StatusOr<ActivatedListeners> OpenListeners(const v1::Config& config) {
  HEARTH_ASSIGN_OR_RETURN(ActivatedListeners listeners, TakeActivatedListeners());
  const v1::Listen& listen = config.listen();
  if (listeners.http.empty()) {
    HEARTH_ASSIGN_OR_RETURN(listeners.http, BindAll(listen.http(), listen.unix_mode()));
  }
  if (listeners.grpc.empty()) {
    HEARTH_ASSIGN_OR_RETURN(listeners.grpc, BindAll(listen.grpc(), listen.unix_mode()));
  }
  HEARTH_RETURN_IF_ERROR(CheckListeners(listeners.http, config));
  HEARTH_RETURN_IF_ERROR(CheckListeners(listeners.grpc, config));
  return listeners;
}

// Percent on a terminal, STATUS= under systemd. At most two a second: systemd's socket holds few
// messages and sending waits for room.
class LoadProgress {
 public:
  ~LoadProgress() {
    if (terminal_) absl::FPrintF(stderr, "\r\033[K");  // gone with the load
  }
  void Show(int percent) {
    const absl::Time now = absl::Now();
    if (now < next_) return;
    next_ = now + absl::Milliseconds(500);
    if (terminal_) absl::FPrintF(stderr, "\rLoading the model %3d%%", percent);
    NotifyStatus(absl::StrCat("Loading the model: ", percent, "%"));
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO);
  absl::Time next_ = absl::InfinitePast();
};

// One token through the whole engine: pages are touched, kernels have run, before READY.
absl::Status WarmUp(Engine& engine) {
  struct Sink : EventSink {
    void OnEvent(const Event& event) override {
      const auto* finish = std::get_if<Finish>(&event);
      if (finish != nullptr) status.set_value(finish->status);
    }
    std::promise<absl::Status> status;
  };
  auto sink = std::make_shared<Sink>();
  Request request;
  request.prompt = {engine.tokenizer().bos().value_or(0)};
  request.max_tokens = 1;
  HEARTH_RETURN_IF_ERROR(engine.Submit(std::move(request), sink).status());
  return sink->status.get_future().get();
}

absl::StatusOr<std::unique_ptr<Engine>> LoadAndWarmUp(const v1::Config& config) {
  LoadProgress progress;
  HEARTH_ASSIGN_OR_RETURN(
      std::unique_ptr<Engine> engine,
      Engine::Load(ToEngineOptions(config), [&](int percent) { progress.Show(percent); }));
  HEARTH_RETURN_IF_ERROR(WarmUp(*engine));
  return engine;
}

// "3.8 B parameters".
std::string Human(double value, const char* unit) {
  const char* prefixes[] = {"", " k", " M", " B", " T"};
  size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(prefixes); ++i) value /= 1000;
  return absl::StrFormat("%.*f%s%s", value < 10 && i > 0 ? 1 : 0, value, prefixes[i], unit);
}

std::string HttpUrl(absl::string_view listener) {
  if (absl::StartsWith(listener, "unix:")) return std::string(listener);
  const bool tls = absl::ConsumePrefix(&listener, "tls:");
  return absl::StrCat(tls ? "https://" : "http://", listener);
}

// A request to try, for the terminal.
std::string CurlLine(const Daemon& daemon, absl::string_view listener) {
  const bool chat = daemon.chat_format() != nullptr;
  const std::string where = absl::ConsumePrefix(&listener, "unix:")
                                ? absl::StrCat("--unix-socket ", listener, " http://localhost")
                                : HttpUrl(listener);
  return absl::StrCat(
      "curl ", where, chat ? "/v1/chat/completions" : "/v1/completions",
      daemon.keys().empty() ? "" : " -H \"Authorization: Bearer $KEY\"",
      " -H 'Content-Type: application/json' -d '{\"model\":\"", daemon.model_id(), "\",",
      chat ? "\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]" : "\"prompt\":\"Hello\"",
      ",\"max_tokens\":32}'");
}

struct ListenerNames {
  std::vector<std::string> http, grpc;
};

void PrintWelcome(const Daemon& daemon, const ListenerNames& names) {
  const ModelInfo& info = daemon.engine().info();
  absl::PrintF("hearthd %s is ready\n", kVersion);
  absl::PrintF("  model   %s: %s, %s, %s, context %d\n", daemon.model_id(), info.architecture,
               Human(static_cast<double>(info.parameters), " parameters"), info.weight_type,
               info.max_context);
  absl::PrintF("  memory  %s\n", info.memory.ToString());
  absl::PrintF("  loaded  in %.2f s from %s\n",
               std::chrono::duration<double>(info.load_time).count(),
               info.weights_from_cache ? daemon.config().engine().cache_directory()
                                       : daemon.config().model());
  absl::PrintF("  compute %s, %d threads\n", info.isa, info.threads);
  for (const std::string& name : names.http) absl::PrintF("  http    %s\n", HttpUrl(name));
  for (const std::string& name : names.grpc) absl::PrintF("  grpc    %s\n", name);
  absl::PrintF("Try: %s\n", CurlLine(daemon, names.http.front()));
  fflush(stdout);
}

void WarnOfPlainListeners(const std::vector<Listener>& listeners) {
  for (const Listener& listener : listeners) {
    if (listener.is_loopback() || listener.is_tls()) continue;
    spdlog::warn("{}: API keys and prompts cross the network unencrypted; see tls: in listen",
                 listener.name());
  }
}

// The running daemon. Members end in reverse order: transports before what they serve.
class Service {
 public:
  Service(v1::Config config, ApiKeys keys, TlsCredentials tls, Signals& signals)
      : daemon_(std::move(config), std::move(keys), std::move(tls),
                [] { kill(getpid(), SIGTERM); }),
        signals_(signals) {}

  // Opens the listeners, so that clients are told "loading" instead of being refused.
  absl::Status Open();
  // Loads the model; kExitOk once it serves. A signal meanwhile ends the process.
  int Load();
  // Serves until a signal, then drains.
  int Run();

 private:
  [[noreturn]] void AbortLoading();
  void Reload();
  void Drain();

  Daemon daemon_;
  Signals& signals_;
  ListenerNames names_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<GrpcServer> grpc_;
};

absl::Status Service::Open() {
  HEARTH_ASSIGN_OR_RETURN(ActivatedListeners listeners, OpenListeners(daemon_.config()));
  if (!daemon_.keys().empty()) {
    WarnOfPlainListeners(listeners.http);
    WarnOfPlainListeners(listeners.grpc);
  }
  for (const Listener& listener : listeners.http) names_.http.push_back(listener.name());
  for (const Listener& listener : listeners.grpc) names_.grpc.push_back(listener.name());
  HEARTH_ASSIGN_OR_RETURN(http_, HttpServer::Start(daemon_, std::move(listeners.http)));
  HEARTH_ASSIGN_OR_RETURN(grpc_, GrpcServer::Start(daemon_, std::move(listeners.grpc)));
  for (const std::string& name : names_.http) spdlog::info("HTTP on {}", name);
  for (const std::string& name : names_.grpc) spdlog::info("gRPC on {}", name);
  return absl::OkStatus();
}

int Service::Load() {
  absl::StatusOr<std::unique_ptr<Engine>> engine;
  const int loaded_fd = eventfd(0, EFD_CLOEXEC);
  absl::Cleanup closer = [loaded_fd] { close(loaded_fd); };
  std::thread loader([&] {
    engine = LoadAndWarmUp(daemon_.config());
    eventfd_write(loaded_fd, 1);
  });
  while (const std::optional<int> signal = signals_.Wait(loaded_fd)) {
    if (*signal != SIGHUP) AbortLoading();
    Reload();
  }
  loader.join();
  if (!engine.ok()) return Fail(engine.status(), LoadExitCode(engine.status()));
  daemon_.Serve(*std::move(engine));
  grpc_->SetServing(true);
  return kExitOk;
}

// Loading cannot be interrupted, only left behind: everything else is put away first.
void Service::AbortLoading() {
  spdlog::info("stopped while loading");
  NotifyStopping();
  http_.reset();
  grpc_.reset();
  std::_Exit(kExitOk);
}

int Service::Run() {
  const Watchdog watchdog([this] { return daemon_.engine().Heartbeat(); });
  NotifyReady();
  PrintWelcome(daemon_, names_);
  while (signals_.Wait() == SIGHUP) Reload();
  Drain();
  return kExitOk;
}

void Service::Reload() {
  const absl::Status status = daemon_.Reload();
  if (status.ok()) {
    spdlog::info("SIGHUP: read keys and certificates again; all else is read at start only");
    return;
  }
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    spdlog::error("SIGHUP: {}; what was read before stays", std::string(line));
  }
}

void Service::Drain() {
  const absl::Duration limit = absl::Milliseconds(daemon_.config().limits().drain_timeout_ms());
  spdlog::info("draining {} generations, {} at most", daemon_.live_tasks(),
               absl::FormatDuration(limit));
  NotifyStopping();
  signals_.LetKill();  // a second signal ends the process at once
  grpc_->SetServing(false);
  daemon_.Drain(limit);
  constexpr absl::Duration kLastWords = absl::Seconds(1);
  http_->Drain(kLastWords);
  grpc_->Drain(kLastWords);
}

}  // namespace

int Serve(const ServeOptions& options) {
  absl::StatusOr<v1::Config> config = MakeConfig(options);
  if (!config.ok()) return Fail(config.status(), kExitConfig);
  absl::StatusOr<ApiKeys> keys =
      ApiKeys::Read(config->auth().key_file(), config->auth().admin_key_file());
  if (!keys.ok()) return Fail(keys.status(), kExitConfig);
  absl::StatusOr<TlsCredentials> tls = TlsCredentials::Read(config->tls());
  if (!tls.ok()) return Fail(tls.status(), kExitConfig);
  if (options.check_config) {
    absl::PrintF("The configuration is valid.\n");
    return kExitOk;
  }
  if (config->model().empty()) {
    return Fail(absl::InvalidArgumentError("no model: --model FILE is missing"), kExitUsage);
  }
  ReturnFreedMemory();
  StartLog(config->log().level());
  Signals signals;  // before any thread
  Service service(*std::move(config), *std::move(keys), *std::move(tls), signals);
  if (absl::Status status = service.Open(); !status.ok()) {
    return Fail(status, OpenExitCode(status));
  }
  const int loaded = service.Load();
  return loaded == kExitOk ? service.Run() : loaded;
}

}  // namespace hearth::server
