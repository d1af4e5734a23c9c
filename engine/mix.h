// A bijection of 64 bits in which every input bit reaches every output bit. Rank 0.
#ifndef HEARTH_ENGINE_MIX_H_
#define HEARTH_ENGINE_MIX_H_

#include <cstdint>

namespace hearth {

// SplitMix64's finaliser (Steele, Lea, Flood 2014).
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_MIX_H_
