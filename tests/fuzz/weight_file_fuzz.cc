// A header of packed weights of any bytes is refused or read, and what is read makes the same
// header.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/check.h"
#include "engine/models/weight_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // As a file of these weights would have it; more hashes than fit into the first page.
  constexpr size_t kWeightBytes = 600 * hearth::kWeightChunk - 64;
  std::vector<std::byte> header(hearth::WeightHeaderBytes(kWeightBytes));
  std::memcpy(header.data(), data, size < header.size() ? size : header.size());
  uint64_t key;
  std::memcpy(&key, header.data() + 16, sizeof(key));  // any key will do
  const absl::StatusOr<std::vector<uint64_t>> hashes =
      hearth::ReadWeightHeader(header, key, kWeightBytes);
  if (hashes.ok()) {
    HEARTH_CHECK(hearth::MakeWeightHeader(key, kWeightBytes, *hashes) == header);
  } else {
    HEARTH_CHECK(absl::IsDataLoss(hashes.status()) || absl::IsFailedPrecondition(hashes.status()));
  }
  return 0;
}
