#include "clients/cli/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "clients/cli/command.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kTls = "tls:";

// CLI11's form: the error, or nothing.
std::string CheckAddress(const std::string& address) {
  if (address.starts_with("unix:")) return address.size() > 5 ? "" : "unix: lacks the path";
  const std::string_view host = std::string_view(address).substr(address.starts_with(kTls) ? 4 : 0);
  const size_t colon = host.rfind(':');
  if (colon != host.npos && colon > 0 && colon + 1 < host.size() &&
      host.find_first_not_of("0123456789", colon + 1) == host.npos) {
    return "";
  }
  return "expected HOST:PORT, tls:HOST:PORT or unix:PATH, found " + address;
}

// A control character would travel in the HTTP/2 header as it is.
bool IsHeaderText(const std::string& key) {
  for (char c : key) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

// The whole of a file; nullopt, and a line on stderr, when it cannot be read.
std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (file && !content.empty()) return content;
  std::fprintf(stderr, "hearth: %s: cannot be read, or is empty\n", path.c_str());
  return std::nullopt;
}

// Null, and a line on stderr, for a file that cannot be read or is of no use.
std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(const ConnectionFlags& flags) {
  if (!flags.address.starts_with(kTls)) {
    if (flags.ca_file.empty() && flags.certificate_file.empty()) {
      return grpc::InsecureChannelCredentials();
    }
    std::fprintf(stderr, "hearth: --ca and --certificate are for tls:HOST:PORT, found %s\n",
                 flags.address.c_str());
    return nullptr;
  }
  grpc::SslCredentialsOptions options;
  for (const auto& [path, pem] : {std::pair(&flags.ca_file, &options.pem_root_certs),
                                  std::pair(&flags.certificate_file, &options.pem_cert_chain),
                                  std::pair(&flags.private_key_file, &options.pem_private_key)}) {
    if (path->empty()) continue;
    std::optional<std::string> content = ReadFile(*path);
    if (!content) return nullptr;
    *pem = *std::move(content);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags) {
  command
      .add_option("--address", flags.address,
                  "Where hearthd listens: HOST:PORT, tls:HOST:PORT or unix:PATH")
      ->envname("HEARTH_ADDRESS")
      ->check(CheckAddress)
      ->capture_default_str()
      ->group("Connection");
  command
      .add_option("--key-file", flags.key_file, "File that holds the API key [HEARTH_API_KEY: key]")
      ->check(CLI::ExistingFile)
      ->group("Connection");
  const auto file = [&command](const char* flag, std::string& path, const char* description) {
    return command.add_option(flag, path, description)
        ->check(CLI::ExistingFile)
        ->group("Connection");
  };
  file("--ca", flags.ca_file, "tls: authorities to trust (PEM) instead of the system's");
  CLI::Option* certificate =
      file("--certificate", flags.certificate_file, "tls: certificate to show (PEM)");
  CLI::Option* key = file("--private-key", flags.private_key_file, "and its private key");
  certificate->needs(key);
  key->needs(certificate);
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
  const std::shared_ptr<grpc::ChannelCredentials> credentials = MakeCredentials(flags);
  if (!credentials) return std::nullopt;
  return Connection(flags.address, credentials, *std::move(key));
}

Connection::Connection(std::string address,
                       const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                       std::string key)
    : address_(std::move(address)), key_(std::move(key)) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // prompts go to the daemon alone
  const std::string target = address_.starts_with(kTls) ? address_.substr(kTls.size()) : address_;
  const auto channel = grpc::CreateCustomChannel(target, credentials, arguments);
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
