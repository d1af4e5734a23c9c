// A call to the daemon: its metadata, its deadline, what cancels it, and its error.
#ifndef HEARTH_CLIENTS_CPP_CALL_H_
#define HEARTH_CLIENTS_CPP_CALL_H_

#include <absl/status/status.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "hearth/client.h"

namespace hearth {

// Code, message, and the details as payloads under their type URLs.
absl::Status ToStatus(const grpc::Status& status);

class Call {
 public:
  // `authorization` is empty for a daemon without keys.
  Call(const std::string& authorization, const CallOptions& options)
      : stop_(options.stop, [this] { context_.TryCancel(); }) {
    if (!authorization.empty()) context_.AddMetadata("authorization", authorization);
    if (options.timeout) {
      context_.set_deadline(std::chrono::system_clock::now() + *options.timeout);
    }
  }

  grpc::ClientContext& context() { return context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> stop_;  // after context_: it goes first
};

}  // namespace hearth

#endif  // HEARTH_CLIENTS_CPP_CALL_H_
