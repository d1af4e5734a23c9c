// JSON from and to clients. Nothing nlohmann::json throws leaves this file, and no document is
// built that is deep, ambiguous or not UTF-8.
#ifndef HEARTH_SERVER_HTTP_JSON_H_
#define HEARTH_SERVER_HTTP_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace hearth::server {

using Json = nlohmann::json;
// Keeps the order of keys; for replies, which people read.
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_depth = 64;
  size_t max_keys = 10'000;        // of one object
  size_t max_containers = 65'536;  // objects and arrays of the document; bounds its memory
  size_t max_number_bytes = 128;
};

// Parses one document (RFC 8259; a BOM is skipped). InvalidArgument for what is not JSON or not
// UTF-8, for a duplicate key, for a number no double holds, and beyond the limits.
absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// As UTF-8, whatever the strings hold: bytes that are not become U+FFFD.
std::string DumpJson(const OrderedJson& json);

// The member `name` of `object`, or null when it is absent or the JSON null.
// REQUIRES: `object` is an object, as for all below.
const Json* FindMember(const Json& object, std::string_view name);

// Optional members of one kind. InvalidArgument names the parameter when it is of another kind:
// an integer is never taken from 1.9, true or "1", nor cut to fit.
absl::StatusOr<std::optional<int64_t>> GetInteger(const Json& object, std::string_view name);
absl::StatusOr<std::optional<double>> GetNumber(const Json& object, std::string_view name);
absl::StatusOr<std::optional<bool>> GetBool(const Json& object, std::string_view name);
absl::StatusOr<std::optional<std::string>> GetString(const Json& object, std::string_view name);

// Parts of documents. InvalidArgument names `param`.
absl::StatusOr<int64_t> ToInteger(const Json& value, std::string_view param);
absl::StatusOr<double> ToNumber(const Json& value, std::string_view param);

// REQUIRES: value.is_string().
const std::string& StringOf(const Json& value);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_JSON_H_
