// Numbers as JSON writes them, within bounds.
#ifndef HEARTH_ENGINE_CONSTRAIN_NUMBER_H_
#define HEARTH_ENGINE_CONSTRAIN_NUMBER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
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
  bool operator==(const Decimal&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const Decimal& decimal) {
    return H::combine(std::move(state), decimal.negative, decimal.whole, decimal.fraction);
  }
  // <0, 0 or >0 as `this` is less than, equal to or greater than `other`.
  int Compare(const Decimal& other) const;
};

struct NumberBound {
  Decimal value;
  bool exclusive = false;

  bool operator==(const NumberBound&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const NumberBound& bound) {
    return H::combine(std::move(state), bound.value, bound.exclusive);
  }
};

struct NumberRange {
  bool integer = false;
  std::optional<NumberBound> low = {}, high = {};
  uint32_t multiple_of = 1;  // whole multiples only when it is not 1

  bool operator==(const NumberRange&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const NumberRange& range) {
    return H::combine(std::move(state), range.integer, range.low.value_or(NumberBound()),
                      range.high.value_or(NumberBound()), range.multiple_of);
  }
};

// InvalidArgument where its multiples cannot be told: that takes a state for each remainder of
// leading digits that makes a difference, and they are too many. All up to 1024 can, and larger
// ones in which 2 and 5 make up much.
absl::Status CheckMultipleOf(uint32_t divisor, CompileBudget& budget);

// Without bounds: what has at most 15 digits (integers: 18) and an exponent of at most two, so
// that every double and int64 reader takes it. With bounds: as many digits (or as many as the
// bounds have) and no exponent. Integers have neither point nor exponent; there is no -0 among
// them or within bounds.
absl::StatusOr<SharedText> NumberText(const NumberRange& range, CompileBudget& budget);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_NUMBER_H_
