// A file of packed weights: what stands in front of them. Little-endian:
//   char[8]  "HEARTHPW"
//   u32      version of this layout: 1
//   u32      kernels::kPackingVersion
//   u64      key, of what the weights were made
//   u64      bytes of weights
//   u64      XXH3-64 of the header, zeros up to the weights included, with zero in this place
//   u64[]    XXH3-64 of each chunk of the weights, the last perhaps shorter
// and the weights at the next multiple of 4096.
#ifndef HEARTH_ENGINE_MODELS_WEIGHT_FILE_H_
#define HEARTH_ENGINE_MODELS_WEIGHT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace hearth {

inline constexpr size_t kWeightChunk = size_t{1} << 20;

constexpr size_t WeightChunks(size_t weight_bytes) {
  return (weight_bytes + kWeightChunk - 1) / kWeightChunk;
}

// Bytes in front of so many weights.
size_t WeightHeaderBytes(size_t weight_bytes);

// REQUIRES: WeightChunks(weight_bytes) hashes.
std::vector<std::byte> MakeWeightHeader(uint64_t key, size_t weight_bytes,
                                        absl::Span<const uint64_t> chunk_hashes);

// The hashes of the chunks. FailedPrecondition when the file is of other weights or another
// version, DataLoss when it is none or damaged. REQUIRES: `header` is the first
// WeightHeaderBytes(weight_bytes) of the file.
absl::StatusOr<std::vector<uint64_t>> ReadWeightHeader(absl::Span<const std::byte> header,
                                                       uint64_t key, size_t weight_bytes);

uint64_t WeightHash(absl::Span<const std::byte> bytes);

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODELS_WEIGHT_FILE_H_
