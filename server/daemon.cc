#include "server/daemon.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "server/session.h"
#include "server/status.h"

namespace hearth::server {
namespace {

// general.name in lower case with dashes, else the file's name.
std::string ModelId(const v1::Config& config, const ModelInfo& info) {
  if (!config.model_id().empty()) return config.model_id();
  std::string id = info.name.empty() ? std::filesystem::path(config.model()).stem().string()
                                     : absl::AsciiStrToLower(info.name);
  for (char& c : id) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_') c = '-';
  }
  return id;
}

}  // namespace

Daemon::Daemon(v1::Config config, ApiKeys keys)
    : config_(std::move(config)),
      keys_(std::move(keys)),
      started_unix_(absl::ToUnixSeconds(absl::Now())) {}

Daemon::~Daemon() = default;

void Daemon::Serve(std::unique_ptr<Engine> engine) {
  HEARTH_CHECK(!loaded_);
  engine_ = std::move(engine);
  model_id_ = ModelId(config_, engine_->info());
  if (absl::StatusOr<ChatFormat> format = ChatFormat::Create(engine_->tokenizer()); format.ok()) {
    chat_format_.emplace(*std::move(format));
  }
  loaded_.store(true, std::memory_order_release);
}

bool Daemon::loaded() const { return loaded_.load(std::memory_order_acquire); }

absl::Status Daemon::Ready() const {
  if (draining()) {
    return WithRetryAfter(
        WithCode(absl::UnavailableError("the daemon is shutting down"), "draining"),
        absl::Seconds(5));
  }
  if (!loaded()) {
    return WithRetryAfter(WithCode(absl::UnavailableError("the model is loading"), "loading"),
                          absl::Seconds(1));
  }
  return absl::OkStatus();
}

void Daemon::Drain(absl::Duration limit) {
  draining_ = true;
  const auto none_left = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sessions_.empty(); };
  std::vector<std::shared_ptr<Session>> late;
  {
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&none_left), limit)) return;
    for (const auto& [unused, weak] : sessions_) {
      if (std::shared_ptr<Session> session = weak.lock()) late.push_back(std::move(session));
    }
  }
  for (const std::shared_ptr<Session>& session : late) {
    session->Cancel(WithCode(absl::UnavailableError("the daemon is shutting down"), "draining"));
  }
  late.clear();
  // Their transports still have to write the error; a stalled one is cut by its write deadline.
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&none_left), absl::Seconds(2));
}

absl::Status Daemon::CheckModel(std::string_view name) const {
  if (name == model_id_) return absl::OkStatus();
  return WithCode(
      WithParam(absl::NotFoundError(absl::StrCat("no such model; this daemon serves ", model_id_)),
                "model"),
      "model_not_found");
}

void Daemon::Register(const std::shared_ptr<Session>& session) {
  absl::MutexLock lock(&mutex_);
  sessions_[session.get()] = session;
}

void Daemon::Unregister(Session* session) {
  absl::MutexLock lock(&mutex_);
  sessions_.erase(session);
}

int Daemon::live_sessions() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(sessions_.size());
}

}  // namespace hearth::server
