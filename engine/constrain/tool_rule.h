// The grammar of tool calls. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_TOOL_RULE_H_
#define HEARTH_ENGINE_CONSTRAIN_TOOL_RULE_H_

#include <vector>

#include "absl/status/status.h"
#include "engine/constrain/grammar.h"
#include "engine/constraint_source.h"

namespace hearth {

// Gives `root` what `calls` describes; `arguments` has the rule of each tool's arguments.
// InvalidArgument where there is no tool, a name comes twice, or there is no way to write a call.
absl::Status AddToolRule(const ToolCallsSource& calls, const std::vector<RuleId>& arguments,
                         RuleId root, GrammarBuilder& builder);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_TOOL_RULE_H_
