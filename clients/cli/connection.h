// Where the daemon is, and the key it wants.
#ifndef HEARTH_CLIENTS_CLI_CONNECTION_H_
#define HEARTH_CLIENTS_CLI_CONNECTION_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "hearth/client.h"

namespace hearth::cli {

struct ConnectionFlags {
  std::string address = ClientOptions().address;
  std::string key_file;
  Tls tls;                        // the files' contents
  std::optional<double> timeout;  // seconds
};
// --address, --key-file, --tls-…, --timeout.
void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags);

// The key: the first line of the file that is neither empty nor a comment. Without a file,
// HEARTH_API_KEY; empty when there is none.
absl::StatusOr<std::string> ReadKey(const std::string& path);

class Connection {
 public:
  // nullopt, and a line on stderr, for flags that name no daemon.
  static std::optional<Connection> Open(const ConnectionFlags& flags);

  const Client& client() const { return client_; }
  // Of a call, as the flags have it.
  CallOptions options(std::stop_token stop = {}) const { return {timeout_, std::move(stop)}; }
  // Says on stderr, in one line, what went wrong, and returns the exit code.
  int Report(const absl::Status& status) const;

 private:
  Connection(Client client, const ConnectionFlags& flags);

  Client client_;
  std::string address_;
  std::optional<std::chrono::milliseconds> timeout_;
};

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_CONNECTION_H_
