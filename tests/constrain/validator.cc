#include "tests/constrain/validator.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/constrain/std_regex.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

// nlohmann::json has no order of members, and compares numbers by value.
bool Same(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

bool IsOfType(const std::string& type, const Json& value) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (!value.is_number()) return false;
  return type == "number" || std::floor(value.get<double>()) == value.get<double>();
}

size_t Length(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

struct Validator {
  const Json& root;

  bool All(const Json& schemas, const Json& value) const {
    return std::all_of(schemas.begin(), schemas.end(),
                       [&](const Json& schema) { return Check(schema, value); });
  }

  long CountMet(const Json& schemas, const Json& value) const {
    return std::count_if(schemas.begin(), schemas.end(),
                         [&](const Json& schema) { return Check(schema, value); });
  }

  bool CheckItems(const Json& schema, const Json& value) const {
    size_t prefix = 0;
    if (schema.contains("prefixItems")) {
      prefix = schema["prefixItems"].size();
      for (size_t i = 0; i < std::min(prefix, value.size()); ++i) {
        if (!Check(schema["prefixItems"][i], value[i])) return false;
      }
    }
    if (!schema.contains("items")) return true;
    for (size_t i = prefix; i < value.size(); ++i) {
      if (!Check(schema["items"], value[i])) return false;
    }
    return true;
  }

  bool CheckProperties(const Json& schema, const Json& value) const {
    for (const auto& [name, member] : value.items()) {
      bool known = false;
      if (schema.contains("properties") && schema["properties"].contains(name)) {
        known = true;
        if (!Check(schema["properties"][name], member)) return false;
      }
      if (schema.contains("patternProperties")) {
        for (const auto& [pattern, inner] : schema["patternProperties"].items()) {
          if (!StdRegexSearches(pattern, name)) continue;
          known = true;
          if (!Check(inner, member)) return false;
        }
      }
      if (!known && schema.contains("additionalProperties") &&
          !Check(schema["additionalProperties"], member)) {
        return false;
      }
      if (schema.contains("propertyNames") && !Check(schema["propertyNames"], name)) return false;
    }
    return true;
  }

  bool CheckNumber(const std::string& keyword, const Json& limit, const Json& number) const {
    if (!limit.is_number()) return true;
    const double bound = limit.get<double>();
    const double value = number.get<double>();
    if (keyword == "minimum") return value >= bound;
    if (keyword == "maximum") return value <= bound;
    if (keyword == "exclusiveMinimum") return value > bound;
    if (keyword == "exclusiveMaximum") return value < bound;
    if (keyword == "multipleOf" && number.is_number_integer()) {
      return number.get<int64_t>() % limit.get<int64_t>() == 0;  // doubles would round
    }
    if (keyword == "multipleOf") return std::fmod(value, bound) == 0;
    return true;
  }

  bool CheckKeyword(const std::string& keyword, const Json& argument, const Json& value) const {
    if (keyword == "type") {
      if (argument.is_string()) return IsOfType(argument, value);
      return std::any_of(argument.begin(), argument.end(),
                         [&](const Json& type) { return IsOfType(type, value); });
    }
    if (keyword == "const") return Same(argument, value);
    if (keyword == "enum") {
      return std::any_of(argument.begin(), argument.end(),
                         [&](const Json& member) { return Same(member, value); });
    }
    if (keyword == "$ref") {
      const std::string pointer = argument.get<std::string>().substr(1);
      return Check(root.at(Json::json_pointer(pointer)), value);
    }
    if (keyword == "allOf") return All(argument, value);
    if (keyword == "anyOf") return CountMet(argument, value) > 0;
    if (keyword == "oneOf") return CountMet(argument, value) == 1;
    if (value.is_number()) return CheckNumber(keyword, argument, value);
    if (value.is_string()) {
      const std::string& text = value.get_ref<const std::string&>();
      if (keyword == "minLength") return Length(text) >= argument.get<size_t>();
      if (keyword == "maxLength") return Length(text) <= argument.get<size_t>();
      if (keyword == "pattern") return StdRegexSearches(argument, text);
      if (keyword == "format") {
        return StdRegexSearches(
            argument == "date" ? "^\\d{4}-\\d\\d-\\d\\d$" : "^(\\d{1,3}\\.){3}\\d{1,3}$", text);
      }
    }
    if (value.is_array()) {
      if (keyword == "minItems") return value.size() >= argument.get<size_t>();
      if (keyword == "maxItems") return value.size() <= argument.get<size_t>();
    }
    if (value.is_object()) {
      if (keyword == "minProperties") return value.size() >= argument.get<size_t>();
      if (keyword == "maxProperties") return value.size() <= argument.get<size_t>();
      if (keyword == "required") {
        return std::all_of(argument.begin(), argument.end(),
                           [&](const Json& name) { return value.contains(name); });
      }
    }
    return true;
  }

  bool Check(const Json& schema, const Json& value) const {
    if (schema.is_boolean()) return schema.get<bool>();
    for (const auto& [keyword, argument] : schema.items()) {
      if (!CheckKeyword(keyword, argument, value)) return false;
    }
    if (value.is_array()) return CheckItems(schema, value);
    return !value.is_object() || CheckProperties(schema, value);
  }
};

}  // namespace

bool IsValid(const Json& schema, const Json& root, const Json& document) {
  return Validator{root}.Check(schema, document);
}

}  // namespace hearth
