#include "engine/models/weight_file.h"

#include <xxhash.h>

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/kernels/layout.h"

namespace hearth {
namespace {

constexpr size_t kAlignment = 4096;
constexpr uint32_t kVersion = 1;

struct Fields {
  char magic[8];
  uint32_t version;
  uint32_t packing_version;
  uint64_t key;
  uint64_t weight_bytes;
  uint64_t header_hash;
};
static_assert(sizeof(Fields) == 40);

constexpr char kMagic[8] = {'H', 'E', 'A', 'R', 'T', 'H', 'P', 'W'};

// Of a header whose own hash is not in it.
uint64_t HeaderHash(absl::Span<const std::byte> header) {
  std::vector<std::byte> copy(header.begin(), header.end());
  std::memset(copy.data() + offsetof(Fields, header_hash), 0, sizeof(Fields::header_hash));
  return WeightHash(copy);
}

}  // namespace

uint64_t WeightHash(absl::Span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

size_t WeightHeaderBytes(size_t weight_bytes) {
  const size_t bytes = sizeof(Fields) + WeightChunks(weight_bytes) * sizeof(uint64_t);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::vector<std::byte> MakeWeightHeader(uint64_t key, size_t weight_bytes,
                                        absl::Span<const uint64_t> chunk_hashes) {
  HEARTH_CHECK(chunk_hashes.size() == WeightChunks(weight_bytes));
  std::vector<std::byte> header(WeightHeaderBytes(weight_bytes));
  Fields fields = {{}, kVersion, kernels::kPackingVersion, key, weight_bytes, 0};
  std::memcpy(fields.magic, kMagic, sizeof(kMagic));
  std::memcpy(header.data(), &fields, sizeof(fields));
  std::memcpy(header.data() + sizeof(fields), chunk_hashes.data(),
              chunk_hashes.size() * sizeof(uint64_t));
  fields.header_hash = HeaderHash(header);
  std::memcpy(header.data(), &fields, sizeof(fields));
  return header;
}

absl::StatusOr<std::vector<uint64_t>> ReadWeightHeader(absl::Span<const std::byte> header,
                                                       uint64_t key, size_t weight_bytes) {
  HEARTH_CHECK(header.size() == WeightHeaderBytes(weight_bytes));
  Fields fields;
  std::memcpy(&fields, header.data(), sizeof(fields));
  if (std::memcmp(fields.magic, kMagic, sizeof(kMagic)) != 0) {
    return absl::DataLossError("is no file of packed weights");
  }
  if (fields.version != kVersion || fields.packing_version != kernels::kPackingVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", fields.version, ".", fields.packing_version,
                     " of packed weights, expected ", kVersion, ".", kernels::kPackingVersion));
  }
  if (fields.weight_bytes != weight_bytes || fields.key != key) {
    return absl::FailedPreconditionError("was made of another model file");
  }
  if (fields.header_hash != HeaderHash(header)) return absl::DataLossError("the header is damaged");
  std::vector<uint64_t> hashes(WeightChunks(weight_bytes));
  std::memcpy(hashes.data(), header.data() + sizeof(fields), hashes.size() * sizeof(uint64_t));
  return hashes;
}

}  // namespace hearth
