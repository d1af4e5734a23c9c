#include "tests/constrain/random_schema.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace hearth {
namespace {

using Json = RandomSchema::Json;

struct PatternSample {
  const char* pattern;
  std::vector<const char*> texts;
};

// ASCII, so that std::regex on bytes means the same.
const std::vector<PatternSample> kPatterns = {
    {"^[a-c]{1,4}$", {"a", "abc", "cccc"}}, {"^[A-Z][0-9]*$", {"A", "Z42"}},
    {"x", {"x", "axb", "\u00e9x\n"}},       {"^(foo|ba[rz])+$", {"foo", "barbaz"}},
    {"[0-9]$", {"7", "a7", " 00"}},         {"^$|^-", {"", "-", "-abc"}},
};

constexpr const char* kTexts[] = {"",           "a",       "hello world", "\u00e9\u4e2d",
                                  "\U0001F600", "\"q\\\n", "key"};

}  // namespace

RandomSchema::RandomSchema(uint32_t seed) : random_(seed) {
  root_ = Schema(0);
  if (root_.is_boolean()) root_ = Json::object();
  // References find these wherever they stand.
  root_["$defs"]["leaf"] = Scalar();
  root_["$defs"]["list"] = {
      {"type", "object"},
      {"properties", {{"value", {{"$ref", "#/$defs/leaf"}}}, {"next", {{"$ref", "#/$defs/list"}}}}},
      {"required", {"value"}},
      {"additionalProperties", false}};
}

Json RandomSchema::Schema(int depth) {
  switch (Below(depth > 2 ? 4 : 11)) {
    case 0:
      return Scalar();
    case 1:
      return String();
    case 2:
      return Number();
    case 3:
      return {{"$ref", OneIn(2) ? "#/$defs/leaf" : "#/$defs/list"}};
    case 4:
    case 5:
      return Array(depth);
    case 6:
      return {{"anyOf", {Schema(depth + 1), Schema(depth + 1)}}};
    case 7:
      return {{"allOf", {Object(depth, "a"), Object(depth, "b")}}};
    case 8:
      return {{"oneOf", {String(), Array(depth), {{"type", {"null", "boolean"}}}}}};
    default:
      return Object(depth, "p");
  }
}

Json RandomSchema::Scalar() {
  switch (Below(6)) {
    case 0:
      return {{"type", "null"}};
    case 1:
      return {{"type", "boolean"}};
    case 2:
      return {{"const", AnyScalar()}};
    case 3:
      return {{"enum", {AnyScalar(), AnyScalar(), AnyScalar(), Json::array({1, "x"})}}};
    case 4:
      return {{"type", {"integer", "null"}}};
    default:
      return {{"type", "string"}, {"format", OneIn(2) ? "date" : "ipv4"}};
  }
}

Json RandomSchema::String() {
  Json schema = {{"type", "string"}};
  if (OneIn(3)) schema["pattern"] = kPatterns[Below(kPatterns.size())].pattern;
  if (OneIn(3)) schema["minLength"] = Below(3);
  if (OneIn(3)) schema["maxLength"] = 3 + Below(20);
  return schema;
}

Json RandomSchema::Number() {
  const bool integer = OneIn(2);
  Json schema = {{"type", integer ? "integer" : "number"}};
  const int low = static_cast<int>(Below(200)) - 100;
  if (OneIn(2)) schema[OneIn(2) ? "minimum" : "exclusiveMinimum"] = low;
  if (OneIn(2))
    schema[OneIn(2) ? "maximum" : "exclusiveMaximum"] = low + 3 + static_cast<int>(Below(300));
  if (!integer && OneIn(3)) schema["minimum"] = low + 0.25;
  if (integer && OneIn(3)) schema["multipleOf"] = 1 + Below(3);
  return schema;
}

Json RandomSchema::Array(int depth) {
  Json schema = {{"type", "array"}};
  if (OneIn(3)) {
    schema["prefixItems"] = Json::array();
    for (uint32_t i = Below(3); i > 0; --i) schema["prefixItems"].push_back(Schema(depth + 1));
  }
  if (!OneIn(4)) schema["items"] = Schema(depth + 1);
  if (OneIn(3)) schema["minItems"] = Below(3);
  if (OneIn(2)) schema["maxItems"] = 2 + Below(3);
  return schema;
}

Json RandomSchema::Object(int depth, const std::string& prefix) {
  Json schema = {{"type", "object"}};
  schema["properties"] = Json::object();
  schema["required"] = Json::array();
  for (uint32_t i = 0, count = Below(5); i < count; ++i) {
    // Some are prefixes of others.
    const std::string name = prefix + std::string(1 + i / 2, 'n') + (i % 2 ? "" : "_\u00e9");
    schema["properties"][name] = Schema(depth + 1);
    if (OneIn(2)) schema["required"].push_back(name);
  }
  if (OneIn(5)) schema["patternProperties"] = {{"^x-[a-z]+$", Number()}};
  if (prefix == "p") {
    if (OneIn(3))
      schema["additionalProperties"] = false;
    else if (OneIn(3))
      schema["additionalProperties"] = Scalar();
    if (OneIn(6)) schema["minProperties"] = 1;
    if (OneIn(6)) schema["maxProperties"] = 3;
    if (OneIn(8)) schema["propertyNames"] = {{"maxLength", 5}};
  }
  return schema;
}

Json RandomSchema::AnyScalar() {
  switch (Below(6)) {
    case 0:
      return nullptr;
    case 1:
      return OneIn(2);
    case 2:
      return static_cast<int>(Below(2000)) - 1000;
    case 3:
      return (Below(8000) | 1) / 8.0;  // no integer: those are written without a fraction
    default:
      return kTexts[Below(std::size(kTexts))];
  }
}

Json RandomSchema::Instance(const Json& schema, int depth) {
  if (schema.contains("$ref")) {
    return Instance(root_.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))),
                    depth);
  }
  if (schema.contains("const")) return schema["const"];
  if (schema.contains("enum")) return schema["enum"][Below(schema["enum"].size())];
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (schema.contains(keyword)) {
      return Instance(schema[keyword][Below(schema[keyword].size())], depth);
    }
  }
  if (schema.contains("allOf")) {
    Json object = Json::object();
    for (const Json& part : schema["allOf"]) {
      AddMembers(part, depth, object);
      // What no part names comes last.
      for (const char* other : {"x-q", "zz"}) object.erase(other);
    }
    return object;
  }
  if (!schema.contains("type")) return AnyScalar();
  Json type = schema["type"];
  if (type.is_array()) type = type[Below(type.size())];
  if (type == "null") return nullptr;
  if (type == "boolean") return OneIn(2);
  if (type == "integer" || type == "number") return NumberInstance(schema, type == "integer");
  if (type == "string") return StringInstance(schema);
  if (type == "array") return ArrayInstance(schema, depth);
  Json object = Json::object();
  AddMembers(schema, depth, object);
  return object;
}

Json RandomSchema::StringInstance(const Json& schema) {
  if (schema.contains("format")) return schema["format"] == "date" ? "2024-02-29" : "10.0.0.255";
  for (const PatternSample& sample : kPatterns) {
    if (schema.value("pattern", "") == sample.pattern) {
      return sample.texts[Below(sample.texts.size())];
    }
  }
  return kTexts[Below(std::size(kTexts))];
}

Json RandomSchema::NumberInstance(const Json& schema, bool integer) {
  double low = -1000;
  for (const char* keyword : {"minimum", "exclusiveMinimum"}) {
    if (schema.contains(keyword)) low = std::max(low, schema[keyword].get<double>());
  }
  const int value = static_cast<int>(low) + static_cast<int>(Below(5));
  if (integer || OneIn(2)) return value;
  return value + 0.125 * Below(8);
}

Json RandomSchema::ArrayInstance(const Json& schema, int depth) {
  Json array = Json::array();
  const size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
  const size_t size = schema.value("minItems", 0) + Below(3);
  for (size_t i = 0; i < size; ++i) {
    if (i < prefix) {
      array.push_back(Instance(schema["prefixItems"][i], depth + 1));
    } else if (schema.contains("items")) {
      array.push_back(Instance(schema["items"], depth + 1));
    } else {
      array.push_back(AnyScalar());
    }
  }
  return array;
}

void RandomSchema::AddMembers(const Json& schema, int depth, Json& object) {
  const Json required = schema.value("required", Json::array());
  if (schema.contains("properties")) {
    for (const auto& [name, member] : schema["properties"].items()) {
      const bool needed = std::find(required.begin(), required.end(), Json(name)) != required.end();
      if (needed || (depth < 6 && OneIn(2))) object[name] = Instance(member, depth + 1);
    }
  }
  if (schema.contains("patternProperties") && OneIn(2)) {
    object["x-q"] = Instance(schema["patternProperties"].begin().value(), depth + 1);
  }
  if (!schema.contains("additionalProperties")) {
    if (OneIn(4)) object["zz"] = AnyScalar();
  } else if (schema["additionalProperties"].is_object() && OneIn(2)) {
    object["zz\n"] = Instance(schema["additionalProperties"], depth + 1);
  }
}

Json RandomSchema::Mutated(Json document) {
  Json* at = &document;
  while (at->is_structured() && !at->empty() && !OneIn(3)) {
    at = &*std::next(at->begin(), Below(static_cast<uint32_t>(at->size())));
  }
  switch (Below(4)) {
    case 0:
      if (at->is_object()) (*at)["zzz"] = AnyScalar();
      if (at->is_array()) at->push_back(AnyScalar());
      break;
    case 1:
      if (at->is_structured() && !at->empty()) at->erase(at->begin());
      break;
    case 2:
      if (at->is_number_integer()) *at = at->get<int64_t>() + static_cast<int>(Below(400)) - 200;
      if (at->is_string()) *at = at->get<std::string>() + "z";
      break;
    default:
      *at = OneIn(4) ? Json::array({AnyScalar()}) : AnyScalar();
  }
  return document;
}

}  // namespace hearth
