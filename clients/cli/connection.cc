#include "clients/cli/connection.h"

#include <absl/strings/str_cat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "clients/cli/command.h"
#include "clients/cli/input.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

// What gRPC says of a connection that fails, for those who know it less well.
std::string Plainly(const std::string& message) {
  const auto says = [&message](const char* words) {
    return message.find(words) != std::string::npos;
  };
  if (says("Connection refused") || says("No such file or directory")) {
    return "nobody listens there; is hearthd running?";
  }
  if (says("http1.x server")) return "an HTTP address; hearth wants the one of gRPC";
  return message;
}

CLI::Validator Pem() {
  return CLI::Validator(
      [](std::string& content) -> std::string {
        return content.find("-----BEGIN ") == std::string::npos ? "the file holds no PEM" : "";
      },
      "");
}

}  // namespace

void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags) {
  command
      .add_option("--address", flags.address,
                  "Where hearthd listens: HOST:PORT, tls:HOST:PORT or unix:PATH")
      ->envname("HEARTH_ADDRESS")
      ->capture_default_str()
      ->group("Connection");
  command
      .add_option("--key-file", flags.key_file, "File that holds the API key [HEARTH_API_KEY: key]")
      ->check(CLI::ExistingFile.description(""))
      ->type_name("FILE")
      ->group("Connection");
  const auto pem = [&command](const char* name, std::string& content, const char* description) {
    command.add_option(name, content, description)
        ->transform(FileContents())
        ->check(Pem())
        ->type_name("FILE")
        ->group("Connection");
  };
  pem("--tls-ca", flags.tls.root_certificates, "Certificates to trust instead of the system's");
  pem("--tls-certificate", flags.tls.certificate, "For daemons that want one of their clients");
  pem("--tls-private-key", flags.tls.private_key, "and its private key");
  command.add_option("--timeout", flags.timeout, "Gives up after so many seconds")
      ->check(CLI::Range(0.001, 86400.0))
      ->group("Connection");
}

absl::StatusOr<std::string> ReadKey(const std::string& path) {
  if (path.empty()) {
    const char* const value = std::getenv("HEARTH_API_KEY");
    return std::string(value == nullptr ? "" : value);
  }
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && line[0] != '#') return line;
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": no key in it"));
}

std::optional<Connection> Connection::Open(const ConnectionFlags& flags) {
  ClientOptions options{flags.address, "", flags.tls};
  absl::StatusOr<std::string> key = ReadKey(flags.key_file);
  absl::Status status = key.status();
  if (key.ok()) {
    options.key = *std::move(key);
    absl::StatusOr<Client> client = Client::Create(options);
    if (client.ok()) return Connection(*std::move(client), flags);
    status = client.status();
  }
  PrintError(status.message());
  return std::nullopt;
}

Connection::Connection(Client client, const ConnectionFlags& flags)
    : client_(std::move(client)), address_(flags.address) {
  if (flags.timeout)
    timeout_ = std::chrono::milliseconds(static_cast<int64_t>(*flags.timeout * 1000));
}

int Connection::Report(const absl::Status& status) const {
  if (status.ok()) return kExitOk;
  const bool too_late = timeout_ && status.message() == "Deadline Exceeded";  // gRPC's own
  std::string line(status.message());
  if (line.empty()) line = absl::StatusCodeToString(status.code());
  if (absl::IsUnavailable(status)) line = absl::StrCat(address_, ": ", Plainly(line));
  if (too_late) line = absl::StrCat("no answer within ", timeout_->count() / 1000.0, " s");
  if (const auto after = RetryAfter(status)) {
    absl::StrAppend(&line, "; try again in ", after->count() / 1000.0, " s");
  }
  PrintError(line);
  if (absl::IsUnavailable(status)) return kExitUnavailable;
  if (absl::IsDeadlineExceeded(status)) return kExitTimeout;
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitFailure;
}

}  // namespace hearth::cli
