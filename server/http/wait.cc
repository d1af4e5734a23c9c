#include "server/http/wait.h"

#include "engine/status_macros.h"

namespace hearth::server {

absl::Status Abandon(Task& task) {
  const absl::Status why = absl::CancelledError("the client has gone");
  task.Cancel(why);
  return why;
}

absl::Status PollWhileOpen(Task& task, const ClientSocket& socket,
                           absl::FunctionRef<absl::StatusOr<bool>(absl::Duration)> poll) {
  SteadyClock::time_point next_look = SteadyClock::now();
  while (true) {
    if (SteadyClock::now() >= next_look) {
      if (socket.peer() != ClientSocket::Peer::kOpen) return Abandon(task);
      next_look = SteadyClock::now() + absl::ToChronoMilliseconds(kLook);
    }
    HEARTH_ASSIGN_OR_RETURN(const bool done, poll(kLook));
    if (done) return absl::OkStatus();
  }
}

}  // namespace hearth::server
