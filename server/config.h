// The daemon's configuration file: JSON of hearth.v1.Config, checked key by key.
#ifndef HEARTH_SERVER_CONFIG_H_
#define HEARTH_SERVER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hearth/v1/config.pb.h"

namespace hearth::server {

// Reads JSON text into a Config by its descriptor. InvalidArgument lists every error at once,
// one a line, as "NAME:LINE:COL: PATH: what was found, what was expected"; an unknown key
// suggests the nearest one. Refused: unknown and duplicate keys, wrong types, numbers outside
// their rules, text that is not UTF-8, nesting beyond 16, more than 1 MiB.
absl::StatusOr<v1::Config> ParseConfig(std::string_view json, const std::string& name);
absl::StatusOr<v1::Config> ReadConfig(const std::string& path);

// Fills every default that does not depend on the model, as config.proto states it.
v1::Config ResolveDefaults(v1::Config config);

// Ranges and combinations of a resolved config (rows C6–C12), flags included: addresses parse,
// listeners may be opened (CheckListener). Every error, one a line.
absl::Status ValidateConfig(const v1::Config& config);

// Whether the listener `name` may be opened: with TLS it needs a certificate; beyond loopback it
// needs keys, clients' certificates, or allow_unauthenticated. FailedPrecondition otherwise.
absl::Status CheckListener(const std::string& name, bool loopback, bool tls,
                           const v1::Config& config);

// "NUMBER, expected MIN to MAX", or nullopt when the field's rules accept `value`.
std::optional<std::string> OutOfRange(const google::protobuf::FieldDescriptor& field,
                                      int64_t value);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_CONFIG_H_
