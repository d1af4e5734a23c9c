// Calls of any method with any bytes.
#ifndef HEARTH_TESTS_SERVER_GRPC_RAW_CALL_H_
#define HEARTH_TESTS_SERVER_GRPC_RAW_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <vector>

namespace hearth::server {

// Writes `messages` in turn, half-closes, reads what comes, and returns the status.
grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::vector<std::string>& messages,
                     std::unique_ptr<grpc::ClientContext> context = nullptr);

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_GRPC_RAW_CALL_H_
