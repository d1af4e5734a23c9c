#include "clients/cli/tools.h"

#include <absl/strings/str_cat.h>

#include <nlohmann/json.hpp>
#include <string_view>

namespace hearth::cli {
namespace {

using Json = nlohmann::ordered_json;  // the model sees a schema's properties in their order

constexpr int kMostDepth = 64;

absl::Status Wrong(size_t index, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tools[", index, "]", absl::string_view(what.data(), what.size())));
}

absl::StatusOr<v1::Tool> ParseTool(const Json& json, size_t index) {
  v1::Tool tool;
  for (const auto& [key, value] : json.items()) {
    if (key == "name" && value.is_string()) {
      tool.set_name(value.get<std::string>());
    } else if (key == "description" && value.is_string()) {
      tool.set_description(value.get<std::string>());
    } else if (key == "parameters" && value.is_object()) {
      tool.set_parameters(value.dump(-1, ' ', false, Json::error_handler_t::replace));
    } else if (key != "strict" || !value.is_boolean()) {  // calls meet the schema either way
      return Wrong(index,
                   ": expected name, description (strings), parameters (an object) and "
                   "strict (true or false)");
    }
  }
  if (tool.name().empty()) return Wrong(index, ".name: missing");
  return tool;
}

}  // namespace

absl::StatusOr<std::vector<v1::Tool>> ParseTools(const std::string& json) {
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, Json::parse_event_t, const Json&) {
    too_deep |= depth > kMostDepth;
    return !too_deep;
  };
  const Json file = Json::parse(json, shallow, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError("tools: nested deeper than 64");
  if (!file.is_array()) return absl::InvalidArgumentError("tools: expected a JSON array");
  std::vector<v1::Tool> tools;
  for (const Json& entry : file) {
    if (!entry.is_object()) return Wrong(tools.size(), ": expected an object");
    const auto function = entry.find("function");
    const bool wrapped = function != entry.end() && function->is_object();
    absl::StatusOr<v1::Tool> tool = ParseTool(wrapped ? *function : entry, tools.size());
    if (!tool.ok()) return tool.status();
    tools.push_back(*std::move(tool));
  }
  return tools;
}

}  // namespace hearth::cli
