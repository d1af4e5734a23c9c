// Regular expressions → TextDfa.
#ifndef HEARTH_ENGINE_CONSTRAIN_REGEX_H_
#define HEARTH_ENGINE_CONSTRAIN_REGEX_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/text_dfa.h"

namespace hearth {

enum class RegexMatch {
  kWhole,     // the text is a match
  kAnywhere,  // the text has a match somewhere, as JSON Schema's "pattern" means it
};

// The syntax is ParseRegex's. InvalidArgument where it is wrong or not supported, or beyond the
// budget.
absl::StatusOr<SharedText> CompileRegex(std::string_view pattern, RegexMatch match,
                                        CompileBudget& budget);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_REGEX_H_
