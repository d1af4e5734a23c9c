// Who may ask: against DNS rebinding (Host), foreign pages in a local browser (Origin), and
// callers without a key.
#ifndef HEARTH_SERVER_HTTP_ACCESS_H_
#define HEARTH_SERVER_HTTP_ACCESS_H_

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "hearth/v1/config.pb.h"
#include "server/config.h"
#include "server/http/request_head.h"
#include "server/listener.h"

namespace hearth::server {

// On a TCP listener of loopback: Host must name a loopback host or one of allowed_hosts, else a
// page whose name was rebound to this machine could speak as its user. 403 otherwise.
std::optional<HttpError> CheckHost(const RequestHead& head, const Listener& listener,
                                   const v1::Listen& config);

// A request from a browser page: only pages of loopback origins may. 403 otherwise.
std::optional<HttpError> CheckOrigin(const RequestHead& head);

// Wrong keys, counted over all clients: 20 at once, then 10 a second. Safe from any thread.
class KeyFailures {
 public:
  // Counts one; false when there were too many.
  bool Count(std::chrono::steady_clock::time_point now);

 private:
  std::mutex mutex_;
  double left_ = kBurst;
  std::chrono::steady_clock::time_point last_;

  static constexpr double kBurst = 20;
  static constexpr double kPerSecond = 10;
};

// The name of the key in "Authorization: Bearer KEY". Unauthenticated without a right one,
// ResourceExhausted when that happens too often. REQUIRES: !keys.empty().
absl::StatusOr<std::string> Authenticate(const RequestHead& head, const ApiKeys& keys,
                                         KeyFailures& failures);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_ACCESS_H_
