#include "server/grpc/methods.h"

namespace hearth::server::rpc {

absl::Status FlushCache(Daemon& daemon, const Caller&, const v1::FlushCacheRequest&,
                        v1::FlushCacheResponse&) {
  daemon.engine().FlushPrefixCache();
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
