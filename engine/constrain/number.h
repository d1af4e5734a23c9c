// Numbers as JSON writes them, within bounds.
#ifndef HEARTH_ENGINE_CONSTRAIN_NUMBER_H_
#define HEARTH_ENGINE_CONSTRAIN_NUMBER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/text_dfa.h"

namespace hearth {

// A decimal number, exactly.
struct Decimal {
  bool negative = false;
  std::string whole;     // digits before the point; no leading zeros, "" for 0
  std::string fraction;  // digits behind it; no trailing zeros

  // From JSON's syntax of numbers. InvalidArgument where the digits become too many.
  static absl::StatusOr<Decimal> Parse(std::string_view json);
  bool IsZero() const { return whole.empty() && fraction.empty(); }
  // <0, 0 or >0 as `this` is less than, equal to or greater than `other`.
  int Compare(const Decimal& other) const;
};

struct NumberBound {
  Decimal value;
  bool exclusive = false;
};

struct NumberRange {
  bool integer = false;
  std::optional<NumberBound> low = {}, high = {};
  uint32_t multiple_of = 1;  // whole multiples only when it is not 1
};

// Without bounds: what has at most 15 digits (integers: 18) and an exponent of at most two, so
// that every double and int64 reader takes it. With bounds: as many digits (or as many as the
// bounds have) and no exponent. Integers have neither point nor exponent; there is no -0 among
// them or within bounds.
absl::StatusOr<SharedText> NumberText(const NumberRange& range, CompileBudget& budget);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_NUMBER_H_
