// Errors that point at a place in a schema.
#ifndef HEARTH_ENGINE_CONSTRAIN_SCHEMA_ERROR_H_
#define HEARTH_ENGINE_CONSTRAIN_SCHEMA_ERROR_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace hearth {

// InvalidArgument: "<pointer>: <problem>" with the JSON Pointer (RFC 6901) as a payload too.
absl::Status SchemaError(std::string_view pointer, std::string_view problem);

// The JSON Pointer that such an error carries, itself or within what was made of it.
std::optional<std::string> SchemaErrorPointer(const absl::Status& status);

// Adds one more reference token to `pointer`.
void AppendToken(std::string_view token, std::string& pointer);
// `pointer` with one more reference token.
std::string PointerTo(std::string_view pointer, std::string_view token);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_SCHEMA_ERROR_H_
