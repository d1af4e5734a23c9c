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
#include "engine/strict_json.h"

namespace hearth::server {

// Keeps the order of keys: people read replies, and what a JSON Schema lets a model write follows
// the order of its properties.
using Json = nlohmann::ordered_json;

using JsonLimits = StrictJsonLimits;

// Parses one document (RFC 8259; a BOM is skipped). InvalidArgument for what is not JSON or not
// UTF-8, for a duplicate key, for a number no double holds, and beyond the limits.
absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// As UTF-8, whatever the strings hold: bytes that are not become U+FFFD.
std::string DumpJson(const Json& json);

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

// InvalidArgument names `param`.name unless the member is a string.
absl::StatusOr<std::string> RequireString(const Json& object, std::string_view name,
                                          const std::string& param);

// The member "type" of an object, empty where it is absent. InvalidArgument names `param` when
// `object` is none, and `param`.type when that is no string.
absl::StatusOr<std::string> ReadType(const Json& object, const std::string& param);

// REQUIRES: value.is_string().
const std::string& StringOf(const Json& value);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_JSON_H_
