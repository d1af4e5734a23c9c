// Regular expressions as ECMA-262 writes them (with the flag u), as far as they are regular: no
// look-around, no word boundaries, no back references, no flags. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_REGEX_SYNTAX_H_
#define HEARTH_ENGINE_CONSTRAIN_REGEX_SYNTAX_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/constrain/char_set.h"
#include "engine/constrain/compile_budget.h"

namespace hearth {

struct RegexNode {
  enum Kind : uint8_t {
    kChars,      // one character of sets[set]
    kSequence,   // all children, in order; none: the empty text
    kChoice,     // any one of the children
    kRepeat,     // the one child, min to max times
    kTextStart,  // ^
    kTextEnd,    // $
  };
  static constexpr uint32_t kUnbounded = UINT32_MAX;

  Kind kind;
  uint32_t set = 0;
  uint32_t min = 0, max = 0;
  std::vector<uint32_t> children = {};  // indices into RegexSyntax::nodes
};

struct RegexSyntax {
  std::vector<CharSet> sets;
  std::vector<RegexNode> nodes;  // children before parents; the last one is the whole
};

// Groups nest at most so deep.
inline constexpr int kMaxRegexNesting = 32;

// InvalidArgument says what is wrong or not supported, and at which byte of the pattern.
absl::StatusOr<RegexSyntax> ParseRegex(std::string_view pattern, CompileBudget& budget);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_REGEX_SYNTAX_H_
