// Where the daemon is, and the key it wants.
#ifndef HEARTH_CLIENTS_CLI_CONNECTION_H_
#define HEARTH_CLIENTS_CLI_CONNECTION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "hearth/v1/inference.grpc.pb.h"

namespace hearth::cli {

struct ConnectionFlags {
  std::string address = "127.0.0.1:8081";
  std::string key_file;
  // For TLS, PEM files.
  std::string ca_file;
  std::string certificate_file;
  std::string private_key_file;
};
// --address, --key-file, --ca, --certificate and --private-key.
void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags);

// The key: the first line of the file that is neither empty nor a comment. Without a file,
// HEARTH_API_KEY; empty when there is none. nullopt, and a line on stderr, for a file without.
std::optional<std::string> ReadKey(const std::string& path);

class Connection {
 public:
  // Connects with the first call. nullopt, and a line on stderr, for a file that cannot be read.
  static std::optional<Connection> Open(const ConnectionFlags& flags);

  v1::Inference::Stub& inference() { return *inference_; }
  v1::Control::Stub& control() { return *control_; }
  // Adds the key.
  void Authorise(grpc::ClientContext& context) const;
  // Says on stderr, in one line, what went wrong, and returns the exit code.
  int Report(const grpc::Status& status) const;

 private:
  Connection(std::string address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
             std::string key);

  std::string address_;
  std::string key_;
  std::unique_ptr<v1::Inference::Stub> inference_;
  std::unique_ptr<v1::Control::Stub> control_;
};

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_CONNECTION_H_
