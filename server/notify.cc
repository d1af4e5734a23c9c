#include "server/notify.h"

#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth::server {
namespace {

// sd_listen_fds() quietly ignores sockets of another process; nobody would notice the difference
// between that and a daemon that listens elsewhere.
absl::Status CheckListenPid() {
  const char* pid = getenv("LISTEN_PID");
  int number = 0;
  if (pid == nullptr || !absl::SimpleAtoi(pid, &number) || number != getpid()) {
    return absl::InvalidArgumentError(absl::StrCat("socket activation: LISTEN_PID is ",
                                                   pid == nullptr ? "not set" : "another process's",
                                                   ", expected ", getpid()));
  }
  return absl::OkStatus();
}

}  // namespace

void NotifyReady() { sd_notify(0, "READY=1\nSTATUS=Serving"); }

void NotifyStatus(const std::string& text) { sd_notify(0, absl::StrCat("STATUS=", text).c_str()); }

void NotifyStopping() { sd_notify(0, "STOPPING=1\nSTATUS=Draining"); }

absl::StatusOr<ActivatedListeners> TakeActivatedListeners() {
  ActivatedListeners listeners;
  if (getenv("LISTEN_FDS") == nullptr) return listeners;
  HEARTH_RETURN_IF_ERROR(CheckListenPid());
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(/*unset_environment=*/1, &names);
  absl::Cleanup free_names = [names] {
    for (char** name = names; name != nullptr && *name != nullptr; ++name) free(*name);
    free(names);
  };
  if (count <= 0) {
    return absl::InvalidArgumentError(
        "socket activation: LISTEN_FDS is no number of open descriptors");
  }
  for (int i = 0; i < count; ++i) {
    const std::string_view name = names[i];
    const bool http = name == "http" || name == "https";
    const bool tls = name == "https" || name == "grpcs";
    if (!http && !tls && name != "grpc") {
      return absl::InvalidArgumentError(absl::StrCat(
          "socket activation: descriptor ", SD_LISTEN_FDS_START + i,
          ": FileDescriptorName= is none of \"http\", \"https\", \"grpc\" and \"grpcs\""));
    }
    HEARTH_ASSIGN_OR_RETURN(Listener listener, Listener::Adopt(SD_LISTEN_FDS_START + i, tls));
    (http ? listeners.http : listeners.grpc).push_back(std::move(listener));
  }
  return listeners;
}

Watchdog::Watchdog(std::function<uint64_t()> heartbeat) : heartbeat_(std::move(heartbeat)) {
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/0, &microseconds) <= 0) return;
  const std::chrono::microseconds quarter(microseconds / 4);
  const auto interval = std::min<std::chrono::microseconds>(quarter, std::chrono::seconds(5));
  thread_ = std::jthread([this, interval](std::stop_token stop) { Run(stop, interval); });
}

void Watchdog::Run(const std::stop_token& stop, std::chrono::microseconds interval) {
  std::mutex mutex;
  std::condition_variable_any stopping;
  std::unique_lock lock(mutex);
  uint64_t last = heartbeat_();
  while (!stopping.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); })) {
    const uint64_t now = heartbeat_();
    if (now == last) continue;
    last = now;
    sd_notify(0, "WATCHDOG=1");
  }
}

}  // namespace hearth::server
