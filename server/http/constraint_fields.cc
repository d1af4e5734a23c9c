#include "server/http/constraint_fields.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

absl::Status Set(std::string where, ConstraintSource source, GenerationRequest& request) {
  if (request.constraint) {
    return InvalidParam(where, absl::StrCat("does not go with ", request.constraint->where));
  }
  request.constraint = TextConstraint{std::move(where), std::move(source)};
  return absl::OkStatus();
}

absl::Status SetRegex(const Json& regex, std::string where, GenerationRequest& request) {
  if (!regex.is_string()) return InvalidParam(where, "must be a string");
  return Set(std::move(where), RegexSource{StringOf(regex)}, request);
}

absl::Status SetChoice(const Json& choice, std::string where, GenerationRequest& request) {
  ChoiceSource source;
  if (!choice.is_array() || choice.empty()) {
    return InvalidParam(where, "must be a list of strings");
  }
  for (const Json& text : choice) {
    if (!text.is_string()) return InvalidParam(where, "must be a list of strings");
    source.texts.push_back(StringOf(text));
  }
  return Set(std::move(where), std::move(source), request);
}

absl::Status ReadResponseFormat(const Json& format, GenerationRequest& request) {
  if (!format.is_object()) return InvalidParam("response_format", "must be an object");
  const Json* type = FindMember(format, "type");
  const std::string name = type != nullptr && type->is_string() ? StringOf(*type) : "";
  if (name == "text") return absl::OkStatus();
  if (name == "json_object") return Set("response_format", JsonSchemaSource{}, request);
  if (name != "json_schema") {
    return InvalidParam("response_format.type", "must be text, json_object or json_schema");
  }
  const std::string where = "response_format.json_schema";
  const Json* inner = FindMember(format, "json_schema");
  if (inner == nullptr || !inner->is_object()) return InvalidParam(where, "must be an object");
  const Json* schema = FindMember(*inner, "schema");
  if (schema == nullptr || schema->is_string()) {
    return InvalidParam(absl::StrCat(where, ".schema"), "must be a JSON Schema");
  }
  return SetSchema(*schema, absl::StrCat(where, ".schema"), request);
}

absl::Status ReadStructuredOutputs(const Json& outputs, GenerationRequest& request) {
  const std::string where = "structured_outputs";
  if (!outputs.is_object()) return InvalidParam(where, "must be an object");
  if (const Json* json = FindMember(outputs, "json")) {
    HEARTH_RETURN_IF_ERROR(SetSchema(*json, absl::StrCat(where, ".json"), request));
  }
  if (const Json* regex = FindMember(outputs, "regex")) {
    HEARTH_RETURN_IF_ERROR(SetRegex(*regex, absl::StrCat(where, ".regex"), request));
  }
  if (const Json* choice = FindMember(outputs, "choice")) {
    HEARTH_RETURN_IF_ERROR(SetChoice(*choice, absl::StrCat(where, ".choice"), request));
  }
  const Json* object = FindMember(outputs, "json_object");
  if (object == nullptr) return absl::OkStatus();
  const std::string param = absl::StrCat(where, ".json_object");
  if (!object->is_boolean()) return InvalidParam(param, "must be true or false");
  return *object == true ? Set(param, JsonSchemaSource{}, request) : absl::OkStatus();
}

}  // namespace

absl::Status SetSchema(const Json& schema, std::string where, GenerationRequest& request) {
  JsonSchemaSource source;
  source.schema = schema.is_string() ? StringOf(schema) : DumpJson(schema);
  source.pointer = absl::StrCat("/", absl::StrReplaceAll(where, {{".", "/"}}));
  return Set(std::move(where), std::move(source), request);
}

absl::Status ReadConstraint(const Json& body, GenerationRequest& request) {
  if (const Json* format = FindMember(body, "response_format")) {
    HEARTH_RETURN_IF_ERROR(ReadResponseFormat(*format, request));
  }
  if (const Json* schema = FindMember(body, "guided_json")) {
    HEARTH_RETURN_IF_ERROR(SetSchema(*schema, "guided_json", request));
  }
  if (const Json* regex = FindMember(body, "guided_regex")) {
    HEARTH_RETURN_IF_ERROR(SetRegex(*regex, "guided_regex", request));
  }
  if (const Json* choice = FindMember(body, "guided_choice")) {
    HEARTH_RETURN_IF_ERROR(SetChoice(*choice, "guided_choice", request));
  }
  const Json* outputs = FindMember(body, "structured_outputs");
  return outputs == nullptr ? absl::OkStatus() : ReadStructuredOutputs(*outputs, request);
}

}  // namespace hearth::server
