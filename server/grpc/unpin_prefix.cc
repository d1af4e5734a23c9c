#include <string>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prompt_requests.h"
#include "server/status.h"

namespace hearth::server::rpc {

absl::Status UnpinPrefix(Daemon& daemon, const Caller& caller, const v1::UnpinPrefixRequest& wire,
                         v1::UnpinPrefixResponse&) {
  HEARTH_ASSIGN_OR_RETURN(const std::string name, PinName(caller.client, wire.name()));
  if (daemon.engine().Unpin(name)) return absl::OkStatus();
  return WithParam(absl::NotFoundError("nothing is pinned under this name"), "name");
}

}  // namespace hearth::server::rpc
