#include "server/http/tool_fields.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Mode = ToolChoice::Mode;

// An object and its path.
struct Located {
  const Json* object;
  std::string where;
};

absl::StatusOr<Located> Inside(const Json& typed, const std::string& type, const std::string& where,
                               ToolForm form) {
  if (form == ToolForm::kFlat) return Located{&typed, where};
  Located inner{FindMember(typed, type), absl::StrCat(where, ".", type)};
  if (inner.object != nullptr && inner.object->is_object()) return inner;
  return InvalidParam(inner.where, "must be an object");
}

absl::StatusOr<Located> FunctionOf(const Json& tool, const std::string& where, ToolForm form) {
  HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(tool, where));
  if (type == "function") return Inside(tool, type, where, form);
  return InvalidParam(absl::StrCat(where, ".type"), "only functions are supported",
                      "unsupported_value");
}

absl::StatusOr<std::string> NameOf(const Located& function) {
  return RequireString(*function.object, "name", function.where);
}

std::optional<Mode> ModeOf(const Json* value) {
  if (value == nullptr || !value->is_string()) return std::nullopt;
  const std::string& name = StringOf(*value);
  if (name == "none") return Mode::kNone;
  if (name == "auto") return Mode::kAuto;
  if (name == "required") return Mode::kRequired;
  return std::nullopt;
}

absl::Status ReadAllowedTools(const Located& allowed, ToolForm form, ToolChoice& choice) {
  const std::optional<Mode> mode = ModeOf(FindMember(*allowed.object, "mode"));
  if (!mode || *mode == Mode::kNone) {
    return InvalidParam(absl::StrCat(allowed.where, ".mode"), "must be auto or required");
  }
  choice.mode = *mode;
  const Json* tools = FindMember(*allowed.object, "tools");
  const std::string list = absl::StrCat(allowed.where, ".tools");
  if (tools == nullptr || !tools->is_array() || tools->empty()) {
    return InvalidParam(list, "must be a list of at least one tool");
  }
  for (size_t i = 0; i < tools->size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(const Located function,
                            FunctionOf((*tools)[i], absl::StrCat(list, "[", i, "]"), form));
    HEARTH_ASSIGN_OR_RETURN(std::string name, NameOf(function));
    choice.allowed.push_back(std::move(name));
  }
  return absl::OkStatus();
}

absl::Status ReadToolChoice(const Json& value, ToolForm form, GenerationRequest& request) {
  const std::string where = "tool_choice";
  const std::string type = value.is_object() ? ReadType(value, where).value_or("") : std::string();
  if (type == "function") {
    HEARTH_ASSIGN_OR_RETURN(const Located function, Inside(value, type, where, form));
    HEARTH_ASSIGN_OR_RETURN(std::string name, NameOf(function));
    request.CallOnly(std::move(name));
  } else if (type == "allowed_tools") {
    HEARTH_ASSIGN_OR_RETURN(const Located allowed, Inside(value, type, where, form));
    return ReadAllowedTools(allowed, form, request.tool_choice);
  } else if (const std::optional<Mode> mode = ModeOf(&value)) {
    request.tool_choice.mode = *mode;
  } else {
    return InvalidParam(value.is_object() ? where + ".type" : where,
                        "must be none, auto, required, a function or allowed_tools");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadOpenAiTools(const Json& body, ToolForm form, GenerationRequest& request) {
  if (form == ToolForm::kNested) request.names.tool = ".function";
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> parallel, GetBool(body, "parallel_tool_calls"));
  request.parallel_tool_calls = parallel.value_or(true);
  const auto read = [form](const Json& tool, const std::string& where) -> absl::StatusOr<Tool> {
    HEARTH_ASSIGN_OR_RETURN(const Located function, FunctionOf(tool, where, form));
    return ReadFunction(*function.object, function.where, "parameters");
  };
  HEARTH_RETURN_IF_ERROR(ReadToolList(body, read, request));
  const Json* choice = FindMember(body, "tool_choice");
  return choice == nullptr ? absl::OkStatus() : ReadToolChoice(*choice, form, request);
}

absl::Status ReadToolList(
    const Json& body,
    absl::FunctionRef<absl::StatusOr<Tool>(const Json& tool, const std::string& where)> read,
    GenerationRequest& request) {
  const Json* tools = FindMember(body, "tools");
  if (tools == nullptr) return absl::OkStatus();
  if (!tools->is_array()) return InvalidParam("tools", "must be a list of tools");
  for (size_t i = 0; i < tools->size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(Tool tool, read((*tools)[i], absl::StrCat("tools[", i, "]")));
    request.tools.push_back(std::move(tool));
  }
  return absl::OkStatus();
}

absl::StatusOr<Tool> ReadFunction(const Json& object, const std::string& where,
                                  std::string_view parameters) {
  Tool read;
  HEARTH_ASSIGN_OR_RETURN(read.name, RequireString(object, "name", where));
  if (FindMember(object, "description") != nullptr) {
    HEARTH_ASSIGN_OR_RETURN(read.description, RequireString(object, "description", where));
  }
  const Json* schema = FindMember(object, parameters);
  if (schema == nullptr) return read;
  if (!schema->is_object()) {
    return InvalidParam(absl::StrCat(where, ".", std::string(parameters)), "must be a JSON Schema");
  }
  read.parameters = DumpJson(*schema);
  return read;
}

}  // namespace hearth::server
