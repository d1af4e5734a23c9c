// The daemon's configuration file: JSON of hearth.v1.Config, checked key by key.
#ifndef HEARTH_SERVER_CONFIG_H_
#define HEARTH_SERVER_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
// listeners beyond loopback have keys or allow_unauthenticated. Every error, one a line.
absl::Status ValidateConfig(const v1::Config& config);

// Whether listeners beyond loopback are allowed: with keys, or by allow_unauthenticated.
bool MayServeNetwork(const v1::Config& config);

// "NUMBER, expected MIN to MAX", or nullopt when the field's rules accept `value`.
std::optional<std::string> OutOfRange(const google::protobuf::FieldDescriptor& field,
                                      int64_t value);

// Wrong keys, counted over all clients of both transports: 20 at once, then 10 a second. Safe from
// any thread.
class KeyFailures {
 public:
  // Counts one; false when there were too many.
  bool Count(std::chrono::steady_clock::time_point now);

 private:
  static constexpr double kBurst = 20;
  static constexpr double kPerSecond = 10;

  std::mutex mutex_;
  double left_ = kBurst;
  std::chrono::steady_clock::time_point last_;
};

// Keys of auth.key_file, hashed; empty when none is configured. Safe from any thread.
class ApiKeys {
 public:
  // A regular file that others cannot open, 1 to 1024 keys, one a line, '#' starts a comment
  // line. InvalidArgument says what is wrong, never what a key is.
  static absl::StatusOr<ApiKeys> Read(const std::string& path);

  bool empty() const { return hashes_.empty(); }
  // Constant-time in the keys; no key at all is the empty one. A match returns a name for logs and
  // fairness (not the key). Unauthenticated otherwise; ResourceExhausted when that happens too
  // often.
  absl::StatusOr<std::string> Authenticate(std::string_view key) const;

 private:
  std::vector<std::string> hashes_;  // SHA-256
  std::unique_ptr<KeyFailures> failures_ = std::make_unique<KeyFailures>();
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_CONFIG_H_
