// Whether these tests run under an emulator of the CPU, which computes floats in software: tests
// of much arithmetic then do less of it.
#ifndef HEARTH_TESTS_EMULATED_H_
#define HEARTH_TESTS_EMULATED_H_

namespace hearth {

#ifdef HEARTH_EMULATED
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

}  // namespace hearth

#endif  // HEARTH_TESTS_EMULATED_H_
