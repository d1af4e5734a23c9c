#include "server/daemon.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "engine/arithmetic.h"
#include "engine/check.h"
#include "server/log.h"
#include "server/status.h"
#include "server/task.h"
#include "server/version.h"

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

absl::Status Draining() {
  return WithRetryAfter(WithCode(absl::UnavailableError("the daemon is shutting down"), "draining"),
                        absl::Seconds(5));
}

}  // namespace

Daemon::Daemon(v1::Config config, ApiKeys keys, TlsCredentials tls, std::function<void()> on_stop)
    : config_(std::move(config)),
      keys_(std::move(keys)),
      tls_(std::move(tls)),
      on_stop_(std::move(on_stop)),
      started_unix_(absl::ToUnixSeconds(absl::Now())),
      salt_key_(absl::Uniform<uint64_t>(absl::BitGen())) {}

Daemon::~Daemon() = default;

void Daemon::Serve(std::unique_ptr<Engine> engine) {
  HEARTH_CHECK(!loaded_);
  engine_ = std::move(engine);
  model_id_ = ModelId(config_, engine_->info());
  if (absl::StatusOr<ChatFormat> format = ChatFormat::Create(engine_->tokenizer()); format.ok()) {
    chat_format_.emplace(*std::move(format));
    if (!chat_format_->template_known()) {
      spdlog::warn("the model's chat template is not one Hearth knows; prompts follow {}",
                   chat_format_->name());
    }
  } else {
    spdlog::warn("no chat: {}", std::string(format.status().message()));
  }
  loaded_.store(true, std::memory_order_release);
}

bool Daemon::loaded() const { return loaded_.load(std::memory_order_acquire); }

absl::Status Daemon::Ready() const {
  if (draining()) return Draining();
  if (!loaded()) {
    return WithRetryAfter(WithCode(absl::UnavailableError("the model is loading"), "loading"),
                          absl::Seconds(1));
  }
  return absl::OkStatus();
}

void Daemon::Drain(absl::Duration limit) {
  const auto none_left = [this] { return tasks_.empty(); };
  std::vector<std::shared_ptr<Task>> late;
  {
    std::unique_lock lock(mutex_);
    draining_ = true;
    if (left_.wait_for(lock, absl::ToChronoNanoseconds(limit), none_left)) return;
    for (const auto& [unused, weak] : tasks_) {
      if (std::shared_ptr<Task> task = weak.lock()) late.push_back(std::move(task));
    }
  }
  for (const std::shared_ptr<Task>& task : late) {
    task->Cancel(Draining());
  }
  late.clear();
  // Their transports still have to write the error; a stalled one is cut by its write deadline.
  std::unique_lock lock(mutex_);
  left_.wait_for(lock, std::chrono::seconds(2), none_left);
}

absl::Status Daemon::CheckModel(std::string_view name) const {
  if (name.empty() || name == model_id_) return absl::OkStatus();
  return WithCode(
      WithParam(absl::NotFoundError(absl::StrCat("no such model; this daemon serves ", model_id_)),
                "model"),
      "model_not_found");
}

std::string Daemon::system_fingerprint() const {
  const ModelInfo& info = engine_->info();
  return absl::StrFormat("fp_%s_a%d_%016x_%s", kVersion, kArithmeticRevision, info.fingerprint,
                         info.kv_type);
}

uint64_t Daemon::CacheSalt(std::string_view client, std::string_view key) const {
  return absl::HashOf(salt_key_, client, key);
}

absl::Status Daemon::CheckPeer(std::string_view peer) const {
  const auto& uids = config_.listen().allowed_uids();
  if (uids.empty() || !peer.starts_with("uid-")) return absl::OkStatus();
  const bool allowed = std::any_of(
      uids.begin(), uids.end(), [peer](int64_t uid) { return peer == absl::StrCat("uid-", uid); });
  if (allowed) return absl::OkStatus();
  return absl::PermissionDeniedError("this user may not use the daemon; see listen.allowed_uids");
}

absl::Status Daemon::CheckAdmin(std::string_view peer, std::string_view key) const {
  if (keys_.has_admins()) return keys_.CheckAdmin(key);
  if (peer == "uid-0" || peer == absl::StrCat("uid-", geteuid())) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "only root and the daemon's own user may do this, over a Unix socket; others need a key of "
      "auth.admin_key_file");
}

absl::Status Daemon::Reload() {
  std::vector<std::string> errors;
  for (const absl::Status& status : {keys_.Reload(), tls_.Reload()}) {
    if (!status.ok()) errors.emplace_back(status.message());
  }
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
}

absl::Status Daemon::Register(const std::shared_ptr<Task>& task) {
  std::lock_guard lock(mutex_);
  if (draining_) return Draining();
  tasks_[task.get()] = task;
  return absl::OkStatus();
}

void Daemon::Unregister(Task* task) {
  std::lock_guard lock(mutex_);
  tasks_.erase(task);
  left_.notify_all();
}

int Daemon::live_tasks() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(tasks_.size());
}

bool Daemon::CancelTask(std::string_view id, std::string_view client) {
  std::vector<std::shared_ptr<Task>> tasks;  // let go unlocked: the last owner's end unregisters
  {
    std::lock_guard lock(mutex_);
    tasks.reserve(tasks_.size());
    for (const auto& [unused, weak] : tasks_) {
      if (std::shared_ptr<Task> task = weak.lock()) tasks.push_back(std::move(task));
    }
  }
  const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) {
    return task->id() == id && task->client() == client;
  });
  if (found == tasks.end()) return false;
  (*found)->Cancel(absl::CancelledError("cancelled by its client"));
  return true;
}

int Daemon::Stop() {
  bool first = false;
  int under_way = 0;
  {
    std::lock_guard lock(mutex_);
    first = !draining_.exchange(true);
    under_way = static_cast<int>(tasks_.size());
  }
  if (first) on_stop_();
  return under_way;
}

}  // namespace hearth::server
