// A counter-based random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). A draw is a function of key and counter; there is no state to keep.
#ifndef HEARTH_ENGINE_SAMPLING_RNG_H_
#define HEARTH_ENGINE_SAMPLING_RNG_H_

#include <array>
#include <cstdint>

namespace hearth {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

PhiloxCounter Philox(PhiloxCounter counter, PhiloxKey key);

// Uniform in [0, 1), a multiple of 2^-53. The seed is the key; position and choice the counter.
double UniformDraw(uint64_t seed, uint32_t choice, int64_t position);

}  // namespace hearth

#endif  // HEARTH_ENGINE_SAMPLING_RNG_H_
