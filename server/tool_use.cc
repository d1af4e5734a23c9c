#include "server/tool_use.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "engine/strict_json.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxTools = 128;
constexpr size_t kMaxToolBytes = 128 * 1024;
constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxContainers = 8192;  // objects and lists of a schema or of arguments

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

absl::Status NameError(std::string_view where) {
  return InvalidParam(
      absl::StrCat(std::string(where), ".name"),
      absl::StrCat("must be 1 to ", kMaxNameBytes, " letters, digits, underscores and dashes"));
}

absl::Status CheckObject(const std::string& text, const std::string& where,
                         bool unique_keys = true) {
  const absl::StatusOr<Json> json =
      ParseStrictJson<Json>(text, {.max_containers = kMaxContainers, .unique_keys = unique_keys});
  if (!json.ok()) return InvalidParam(where, absl::StrCat("is no JSON: ", json.status().message()));
  if (!json->is_object()) return InvalidParam(where, "must be a JSON object");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCalls(const GenerationRequest& wire, absl::Span<const Message> messages) {
  const FieldNames& names = wire.names;
  size_t calls = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const std::string where = absl::StrCat(names.Message(i), ".tool_calls");
    if (!message.tool_calls.empty() && message.role != Role::kAssistant) {
      return InvalidParam(where, "only messages of the assistant have calls");
    }
    for (size_t j = 0; j < message.tool_calls.size(); ++j) {
      const std::string function =
          names.calls.empty() ? absl::StrCat(where, "[", j, "]", names.tool) : names.calls[calls];
      ++calls;
      const ToolCall& call = message.tool_calls[j];
      if (!IsName(call.name)) return NameError(function);
      if (call.arguments.empty()) continue;  // as OpenAI writes what has none
      // A model may write a key that no schema names twice.
      HEARTH_RETURN_IF_ERROR(CheckObject(
          call.arguments, absl::StrCat(function, ".", names.arguments), /*unique_keys=*/false));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTools(const GenerationRequest& wire) {
  if (wire.tools.size() > kMaxTools) {
    return InvalidParam("tools", absl::StrCat("at most ", kMaxTools, " tools"));
  }
  std::set<std::string_view> names;
  size_t bytes = 0;
  for (size_t i = 0; i < wire.tools.size(); ++i) {
    const Tool& tool = wire.tools[i];
    const std::string where = absl::StrCat("tools[", i, "]", wire.names.tool);
    if (!IsName(tool.name)) return NameError(where);
    if (!names.insert(tool.name).second) {
      return InvalidParam(absl::StrCat(where, ".name"), "is the name of an earlier tool");
    }
    bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
    if (bytes > kMaxToolBytes) {
      return InvalidParam("tools", absl::StrCat("at most ", kMaxToolBytes, " bytes together"));
    }
    if (tool.parameters.empty()) continue;
    HEARTH_RETURN_IF_ERROR(
        CheckObject(tool.parameters, absl::StrCat(where, ".", wire.names.parameters)));
  }
  for (const std::string& name : wire.tool_choice.allowed) {
    if (names.count(name) > 0) continue;
    return InvalidParam(wire.names.tool_choice, "names a tool that is not among the tools");
  }
  if (wire.tool_choice.mode == ToolChoice::Mode::kRequired && wire.tools.empty()) {
    return InvalidParam(wire.names.tool_choice, "asks for a call, but there are no tools");
  }
  return absl::OkStatus();
}

bool UsesTools(const GenerationRequest& wire) {
  return !wire.tools.empty() && wire.tool_choice.mode != ToolChoice::Mode::kNone;
}

ToolCallsSource CallsOf(const GenerationRequest& wire, ToolCallSyntax syntax) {
  ToolCallsSource calls{.tools = {},
                        .syntax = std::move(syntax),
                        .required = wire.tool_choice.mode == ToolChoice::Mode::kRequired,
                        .parallel = wire.parallel_tool_calls};
  const std::vector<std::string>& allowed = wire.tool_choice.allowed;
  for (size_t i = 0; i < wire.tools.size(); ++i) {
    const Tool& tool = wire.tools[i];
    if (!allowed.empty() && std::count(allowed.begin(), allowed.end(), tool.name) == 0) continue;
    ToolSource source{.name = tool.name};
    if (!tool.parameters.empty()) source.parameters = tool.parameters;
    source.pointer = absl::StrCat("/tools/", i, wire.names.tool.empty() ? "" : "/function", "/",
                                  wire.names.parameters);
    calls.tools.push_back(std::move(source));
  }
  return calls;
}

}  // namespace hearth::server
