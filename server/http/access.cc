#include "server/http/access.h"

#include <arpa/inet.h>

#include <algorithm>

#include "server/http/ascii.h"
#include "server/status.h"

namespace hearth::server {
namespace {

HttpError Forbidden(std::string_view message) {
  HttpError error = Refusal(403, message);
  error.type = "permission_error";
  return error;
}

// Splits "host[:port]" and returns the host, in lower case and without a final dot; nullopt when
// the port is no port.
std::optional<std::string> HostName(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  if (colon != authority.npos) {
    const std::optional<uint64_t> port = ParseDigits(authority.substr(colon + 1));
    if (!port || *port > 65535) return std::nullopt;
    authority = authority.substr(0, colon);
  }
  if (authority.ends_with('.')) authority.remove_suffix(1);
  return ToLower(authority);
}

bool IsLoopbackName(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

// As Host has it: 10.0.0.1, [fe80::1].
bool IsIpAddress(std::string host) {
  in6_addr address;
  if (!host.starts_with('[') || !host.ends_with(']')) {
    return inet_pton(AF_INET, host.c_str(), &address) == 1;
  }
  host = host.substr(1, host.size() - 2);
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool IsLoopbackOrigin(std::string_view origin) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!StartsWithIgnoreCase(origin, scheme)) continue;
    const std::optional<std::string> host = HostName(origin.substr(scheme.size()));
    return host && IsLoopbackName(*host);
  }
  return false;
}

bool Names(const google::protobuf::RepeatedPtrField<std::string>& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& listed) { return EqualsIgnoreCase(listed, name); });
}

}  // namespace

std::optional<HttpError> CheckHost(const RequestHead& head, const Listener& listener,
                                   const v1::Listen& config, bool has_keys) {
  if (listener.is_unix()) return std::nullopt;
  const bool any_name = !listener.is_loopback() && (has_keys || listener.is_tls());
  if (any_name && config.allowed_hosts().empty()) return std::nullopt;
  const std::string* header = head.Find("host");
  if (header == nullptr) return std::nullopt;  // HTTP/1.0; no browser leaves it out
  const std::optional<std::string> host = HostName(*header);
  // A listener's own address is a loopback literal, 127.0.0.2 for one.
  const bool allowed = host && (IsLoopbackName(*host) || *host == listener.host() ||
                                Names(config.allowed_hosts(), *host) ||
                                (!listener.is_loopback() && IsIpAddress(*host)));
  if (allowed) return std::nullopt;
  return Forbidden("Host names another machine; see listen.allowed_hosts");
}

const std::string* AllowedOrigin(const RequestHead& head, const v1::Listen& config) {
  const std::string* origin = head.Find("origin");
  if (origin == nullptr) return nullptr;
  return IsLoopbackOrigin(*origin) || Names(config.allowed_origins(), *origin) ? origin : nullptr;
}

std::optional<HttpError> CheckOrigin(const RequestHead& head, const v1::Listen& config) {
  if (head.Find("origin") == nullptr || AllowedOrigin(head, config) != nullptr) return std::nullopt;
  return Forbidden("pages of this origin may not use the daemon; see listen.allowed_origins");
}

bool IsPreflight(const RequestHead& head) {
  return head.method == "OPTIONS" && head.Find("origin") != nullptr &&
         head.Find("access-control-request-method") != nullptr;
}

absl::StatusOr<std::string> Authenticate(const RequestHead& head, const ApiKeys& keys) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string* header = head.Find("authorization");
  const std::string* key = head.Find("x-api-key");
  if (header == nullptr && key != nullptr) return keys.Authenticate(*key);
  const bool bearer = header != nullptr && StartsWithIgnoreCase(*header, kScheme);
  return keys.Authenticate(bearer ? std::string_view(*header).substr(kScheme.size()) : "");
}

}  // namespace hearth::server
