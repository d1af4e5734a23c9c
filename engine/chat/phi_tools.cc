#include "engine/chat/phi_tools.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "engine/strict_json.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

struct TypeName {
  std::string_view schema;
  const char* python;
};
constexpr TypeName kTypeNames[] = {{"string", "str"},   {"integer", "int"}, {"number", "float"},
                                   {"boolean", "bool"}, {"array", "list"},  {"object", "dict"}};

Json PythonType(const Json& type) {
  if (!type.is_string()) return type;
  const std::string& name = *type.get_ptr<const std::string*>();
  const auto* row = std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                                 [&name](const TypeName& t) { return t.schema == name; });
  return row == std::end(kTypeNames) ? type : Json(row->python);
}

// The description first, then the type, as the model card has them; the other keywords follow.
Json FlatProperty(const Json& property) {
  if (!property.is_object()) return property;
  Json flat = Json::object();
  const auto description = property.find("description");
  if (description != property.end()) flat["description"] = *description;
  const auto type = property.find("type");
  if (type != property.end()) flat["type"] = PythonType(*type);
  for (const auto& [key, value] : property.items()) {
    if (key != "description" && key != "type") flat[key] = value;
  }
  return flat;
}

absl::StatusOr<Json> FlatParameters(const Tool& tool) {
  if (tool.parameters.empty()) return Json::object();
  HEARTH_ASSIGN_OR_RETURN(const Json schema, ParseStrictJson<Json>(tool.parameters));
  if (!schema.is_object()) return absl::InvalidArgumentError("parameters: must be an object");
  Json flat = Json::object();
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return flat;
  for (const auto& [name, property] : properties->items()) flat[name] = FlatProperty(property);
  return flat;
}

std::string Quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// With a space behind each comma and colon, as Python writes JSON and the model was shown it.
// Recursion is bounded by the parser's depth.
void Write(const Json& json, std::string& out) {
  if (!json.is_structured()) {
    out += json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  out += json.is_object() ? "{" : "[";
  std::string_view separator;
  for (const auto& [key, value] : json.items()) {
    out += separator;
    separator = ", ";
    if (json.is_object()) absl::StrAppend(&out, Quoted(key), ": ");
    Write(value, out);
  }
  out += json.is_object() ? "}" : "]";
}

}  // namespace

absl::StatusOr<std::string> PhiToolList(absl::Span<const Tool> tools) {
  Json list = Json::array();
  for (const Tool& tool : tools) {
    Json flat = {{"name", tool.name}};
    if (!tool.description.empty()) flat["description"] = tool.description;
    HEARTH_ASSIGN_OR_RETURN(flat["parameters"], FlatParameters(tool));
    list.push_back(std::move(flat));
  }
  std::string text;
  Write(list, text);
  return text;
}

std::string PhiToolCalls(absl::Span<const ToolCall> calls) {
  std::string text = "functools[";
  std::string_view separator;
  for (const ToolCall& call : calls) {
    absl::StrAppend(&text, std::string(separator), "{\"name\": ", Quoted(call.name),
                    ", \"arguments\": ", call.arguments.empty() ? "{}" : call.arguments, "}");
    separator = ", ";
  }
  return text + "]";
}

}  // namespace hearth
