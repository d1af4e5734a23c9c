// Which arithmetic this build has. Rank 0: a plain value.
#ifndef HEARTH_ENGINE_ARITHMETIC_H_
#define HEARTH_ENGINE_ARITHMETIC_H_

namespace hearth {

// Raised with every change by which the same request gets other bits of the same model file: when
// the hashes in tests/engine/same_bits_test.cc change.
inline constexpr int kArithmeticRevision = 1;

}  // namespace hearth

#endif  // HEARTH_ENGINE_ARITHMETIC_H_
