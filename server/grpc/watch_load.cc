#include "server/grpc/methods.h"
#include "server/status.h"

namespace hearth::server::rpc {

absl::StatusOr<std::chrono::milliseconds> WatchLoad(const v1::WatchLoadRequest& wire) {
  if (!wire.has_interval_ms()) return std::chrono::milliseconds(1000);
  if (wire.interval_ms() < 100 || wire.interval_ms() > 60'000) {
    return InvalidParam("interval_ms", "must be within [100, 60000]");
  }
  return std::chrono::milliseconds(wire.interval_ms());
}

}  // namespace hearth::server::rpc
