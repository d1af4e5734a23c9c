#include "server/http/json.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/status.h"

namespace hearth::server {

absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.empty()) return InvalidParam("", "the body is empty; JSON is expected");
  absl::StatusOr<Json> json = ParseStrictJson<Json>(text, limits);
  if (!json.ok())
    return InvalidParam("", absl::StrCat("the body is refused: ", json.status().message()));
  return json;
}

std::string DumpJson(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* FindMember(const Json& object, std::string_view name) {
  const auto& members = *object.get_ptr<const Json::object_t*>();
  const auto at = std::find_if(members.begin(), members.end(),
                               [name](const auto& member) { return member.first == name; });
  return at == members.end() || at->second.is_null() ? nullptr : &at->second;
}

absl::StatusOr<int64_t> ToInteger(const Json& value, std::string_view param) {
  if (const auto* positive = value.get_ptr<const Json::number_unsigned_t*>()) {
    if (*positive <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*positive);
    }
    return InvalidParam(param, "must be an integer of 64 bits");
  }
  if (const auto* any = value.get_ptr<const Json::number_integer_t*>()) return *any;
  return InvalidParam(param, "must be an integer");
}

absl::StatusOr<double> ToNumber(const Json& value, std::string_view param) {
  if (const auto* real = value.get_ptr<const Json::number_float_t*>()) return *real;
  if (const auto* positive = value.get_ptr<const Json::number_unsigned_t*>()) {
    return static_cast<double>(*positive);
  }
  if (const auto* any = value.get_ptr<const Json::number_integer_t*>()) {
    return static_cast<double>(*any);
  }
  return InvalidParam(param, "must be a number");
}

absl::StatusOr<std::optional<int64_t>> GetInteger(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  return ToInteger(*value, name);
}

absl::StatusOr<std::optional<double>> GetNumber(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  return ToNumber(*value, name);
}

absl::StatusOr<std::optional<bool>> GetBool(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  const auto* flag = value->get_ptr<const bool*>();
  if (flag == nullptr) return InvalidParam(name, "must be true or false");
  return *flag;
}

absl::StatusOr<std::optional<std::string>> GetString(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return InvalidParam(name, "must be a string");
  return StringOf(*value);
}

absl::StatusOr<std::string> ReadType(const Json& object, const std::string& param) {
  if (!object.is_object()) return InvalidParam(param, "must be an object");
  const Json* type = FindMember(object, "type");
  if (type == nullptr) return "";
  if (!type->is_string()) return InvalidParam(absl::StrCat(param, ".type"), "must be a string");
  return StringOf(*type);
}

absl::StatusOr<std::string> RequireString(const Json& object, std::string_view name,
                                          const std::string& param) {
  const Json* value = FindMember(object, name);
  if (value != nullptr && value->is_string()) return StringOf(*value);
  return InvalidParam(absl::StrCat(param, ".", std::string(name)), "must be a string");
}

const std::string& StringOf(const Json& value) { return *value.get_ptr<const std::string*>(); }

}  // namespace hearth::server
