// Who may ask: against DNS rebinding (Host), foreign pages in a local browser (Origin), and
// callers without a key.
#ifndef HEARTH_SERVER_HTTP_ACCESS_H_
#define HEARTH_SERVER_HTTP_ACCESS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "hearth/v1/config.pb.h"
#include "server/api_keys.h"
#include "server/http/request_head.h"
#include "server/listener.h"

namespace hearth::server {

// On a TCP listener: Host must be a loopback host, the listener's own address or one of
// allowed_hosts, else a page whose name was rebound to this machine could speak as its user. 403
// otherwise. Beyond loopback any IP address will do, which cannot be rebound, and without
// allowed_hosts any name where such a page gets nowhere: with `has_keys` it has none, and with TLS
// it finds another's certificate.
std::optional<HttpError> CheckHost(const RequestHead& head, const Listener& listener,
                                   const v1::Listen& config, bool has_keys);

// A request from a browser page: only pages of loopback origins and of allowed_origins may. 403
// otherwise.
std::optional<HttpError> CheckOrigin(const RequestHead& head, const v1::Listen& config);
// The origin of an allowed page, as sent; null for requests of no page.
const std::string* AllowedOrigin(const RequestHead& head, const v1::Listen& config);

// A browser asks whether its page may send a request (CORS). It sends no key with that.
bool IsPreflight(const RequestHead& head);

// The name of the key in "Authorization: Bearer KEY", or without that header in "x-api-key: KEY",
// as Anthropic's clients send it; errors of ApiKeys::Authenticate.
// REQUIRES: !keys.empty().
absl::StatusOr<std::string> Authenticate(const RequestHead& head, const ApiKeys& keys);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_ACCESS_H_
