#include "clients/cli/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "clients/cli/command.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

// CLI11's form: the error, or nothing.
std::string CheckAddress(const std::string& address) {
  if (address.starts_with("unix:")) return address.size() > 5 ? "" : "unix: lacks the path";
  const size_t colon = address.rfind(':');
  if (colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
      address.find_first_not_of("0123456789", colon + 1) == std::string::npos) {
    return "";
  }
  return "expected HOST:PORT or unix:PATH, found " + address;
}

// A control character would travel in the HTTP/2 header as it is.
bool IsHeaderText(const std::string& key) {
  for (char c : key) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

}  // namespace

void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags) {
  command.add_option("--address", flags.address, "Where hearthd listens: HOST:PORT or unix:PATH")
      ->envname("HEARTH_ADDRESS")
      ->check(CheckAddress)
      ->capture_default_str()
      ->group("Connection");
  command
      .add_option("--key-file", flags.key_file, "File that holds the API key [HEARTH_API_KEY: key]")
      ->check(CLI::ExistingFile)
      ->group("Connection");
}

std::optional<std::string> ReadKey(const std::string& path) {
  std::string key;
  if (path.empty()) {
    if (const char* value = std::getenv("HEARTH_API_KEY")) key = value;
  } else {
    std::ifstream file(path);
    while (std::getline(file, key)) {
      if (key.ends_with('\r')) key.pop_back();
      if (!key.empty() && key[0] != '#') break;
    }
    if (!file) {
      std::fprintf(stderr, "hearth: %s: no key in it\n", path.c_str());
      return std::nullopt;
    }
  }
  if (!IsHeaderText(key)) {
    std::fprintf(stderr, "hearth: the API key: expected printable ASCII\n");
    return std::nullopt;
  }
  return key;
}

std::optional<Connection> Connection::Open(const ConnectionFlags& flags) {
  std::optional<std::string> key = ReadKey(flags.key_file);
  if (!key) return std::nullopt;
  return Connection(flags.address, *std::move(key));
}

Connection::Connection(std::string address, std::string key)
    : address_(std::move(address)), key_(std::move(key)) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // prompts go to the daemon alone
  const auto channel =
      grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
  inference_ = v1::Inference::NewStub(channel);
  control_ = v1::Control::NewStub(channel);
}

void Connection::Authorise(grpc::ClientContext& context) const {
  if (!key_.empty()) context.AddMetadata("authorization", "Bearer " + key_);
}

int Connection::Report(const grpc::Status& status) const {
  const std::string message = Printable(status.error_message());
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return kExitOk;
    case grpc::StatusCode::UNAVAILABLE:
      std::fprintf(stderr, "hearth: %s: %s\n", address_.c_str(), message.c_str());
      return kExitUnavailable;
    case grpc::StatusCode::INVALID_ARGUMENT:
      std::fprintf(stderr, "hearth: %s\n", message.c_str());
      return kExitUsage;
    default:
      std::fprintf(stderr, "hearth: %s\n", message.c_str());
      return kExitFailure;
  }
}

}  // namespace hearth::cli
