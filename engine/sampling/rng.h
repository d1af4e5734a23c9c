// A counter-based random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). A draw is a function of key and counter; there is no state to keep.
#ifndef HEARTH_ENGINE_SAMPLING_RNG_H_
#define HEARTH_ENGINE_SAMPLING_RNG_H_

#include <array>
#include <cstdint>

namespace hearth {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

constexpr PhiloxCounter Philox(PhiloxCounter counter, PhiloxKey key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMultiplier0 * counter[0];
    const uint64_t p1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

// Uniform in [0, 1), a multiple of 2^-53. The seed is the key; position and choice the counter.
constexpr double UniformDraw(uint64_t seed, uint32_t choice, int64_t position) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto place = static_cast<uint64_t>(position);
  const PhiloxCounter bits = Philox({low(place), high(place), choice, 0}, {low(seed), high(seed)});
  const uint64_t word = static_cast<uint64_t>(bits[0]) << 32 | bits[1];
  return static_cast<double>(word >> 11) * 0x1p-53;
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_SAMPLING_RNG_H_
