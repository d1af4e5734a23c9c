// Waiting for what runs for a client that may go away meanwhile.
#ifndef HEARTH_SERVER_HTTP_WAIT_H_
#define HEARTH_SERVER_HTTP_WAIT_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/http/client_socket.h"
#include "server/task.h"

namespace hearth::server {

// How often a waiting reply looks whether its client is still there.
inline constexpr absl::Duration kLook = absl::Milliseconds(100);

// Cancels the task, since its client has gone; returns with what.
absl::Status Abandon(Task& task);

// Calls `poll`, which waits for up to the time it is given, until it returns true or an error. A
// client that has closed even one side of the connection abandons the task.
absl::Status PollWhileOpen(Task& task, const ClientSocket& socket,
                           absl::FunctionRef<absl::StatusOr<bool>(absl::Duration)> poll);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_WAIT_H_
