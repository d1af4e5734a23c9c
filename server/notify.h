// systemd: readiness, socket activation and the watchdog, through libsystemd. Outside systemd
// (NOTIFY_SOCKET unset, row C19) the messages go nowhere.
#ifndef HEARTH_SERVER_NOTIFY_H_
#define HEARTH_SERVER_NOTIFY_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/listener.h"

namespace hearth::server {

void NotifyReady();
void NotifyStatus(const std::string& text);
void NotifyStopping();

// Sockets that systemd bound for us (hearthd.socket), by the transport their names say.
struct ActivatedListeners {
  std::vector<Listener> http;
  std::vector<Listener> grpc;
};
// Empty without activation. Row C18: an error when they are meant for another process, fewer than
// promised, no listening stream sockets, or named other than "http" and "grpc", "https" and "grpcs"
// for TLS.
// REQUIRES: called once, before other threads start.
absl::StatusOr<ActivatedListeners> TakeActivatedListeners();

// Row F6: tells systemd that the daemon is alive only when the engine has moved on since the
// last look, so that a hung engine is restarted. Of no effect without WATCHDOG_USEC.
class Watchdog {
 public:
  // `heartbeat` grows while the engine is well; called from the watchdog's thread.
  explicit Watchdog(std::function<uint64_t()> heartbeat);

 private:
  void Run(const std::stop_token& stop, std::chrono::microseconds interval);

  std::function<uint64_t()> heartbeat_;
  std::jthread thread_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_NOTIFY_H_
