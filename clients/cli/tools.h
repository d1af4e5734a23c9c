// Tools as files have them.
#ifndef HEARTH_CLIENTS_CLI_TOOLS_H_
#define HEARTH_CLIENTS_CLI_TOOLS_H_

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "hearth/v1/inference.pb.h"

namespace hearth::cli {

// A JSON array of functions {"name", "description", "parameters", "strict"}, bare or as OpenAI
// wraps them: {"type": "function", "function": {…}}. What the fields may hold is the daemon's to
// check.
absl::StatusOr<std::vector<v1::Tool>> ParseTools(const std::string& json);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_TOOLS_H_
