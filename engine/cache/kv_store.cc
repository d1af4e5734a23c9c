#include "engine/cache/kv_store.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr size_t kAlignment = 64;
constexpr int32_t kMaxDimension = 1 << 16;  // of a shape; keeps every product below within 64 bits

constexpr size_t RoundUp(size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

constexpr size_t ElementBytes(KvType type) {
  switch (type) {
    case KvType::kInt8:
      return sizeof(int8_t);
    case KvType::kF16:
      return sizeof(uint16_t);
    case KvType::kF32:
      return sizeof(float);
  }
  return 0;
}

// Layout of one KvBlock: keys, values, then (kInt8) key scales and value scales.
size_t PlaneBytes(const KvLayerShape& shape, KvType type) {
  // An int8 key takes whole groups of four elements.
  const size_t elements = type == KvType::kInt8 ? (shape.head_dim + 3) / 4 * 4 : shape.head_dim;
  return RoundUp(kBlockTokens * elements * ElementBytes(type));
}

size_t ScaleBytes(KvType type) {
  return type == KvType::kInt8 ? RoundUp(kBlockTokens * sizeof(uint16_t)) : 0;
}

size_t HeadBytes(const KvLayerShape& shape, KvType type) {
  return 2 * (PlaneBytes(shape, type) + ScaleBytes(type));
}

absl::Status CheckShape(size_t layer, const KvLayerShape& shape) {
  const auto in_range = [](int32_t x) { return x >= 1 && x <= kMaxDimension; };
  if (in_range(shape.kv_heads) && in_range(shape.head_dim)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("KV cache, layer ", layer, ": ", shape.kv_heads,
                                                 " heads of ", shape.head_dim, ", expected 1 to ",
                                                 kMaxDimension, " of each"));
}

}  // namespace

size_t KvStore::BytesPerBlock(const std::vector<KvLayerShape>& layers, KvType type) {
  size_t bytes = 0;
  for (const KvLayerShape& shape : layers) bytes += shape.kv_heads * HeadBytes(shape, type);
  return bytes;
}

absl::StatusOr<KvStore> KvStore::Create(std::vector<KvLayerShape> layers, KvType type,
                                        int32_t num_blocks, Allocate allocate) {
  if (layers.empty() || num_blocks < 1) {
    return absl::InvalidArgumentError(absl::StrCat("KV cache: ", layers.size(), " layers and ",
                                                   num_blocks, " blocks, expected at least 1"));
  }
  for (size_t i = 0; i < layers.size(); ++i) HEARTH_RETURN_IF_ERROR(CheckShape(i, layers[i]));
  size_t total;
  const size_t per_block = BytesPerBlock(layers, type);
  if (__builtin_mul_overflow(per_block, static_cast<size_t>(num_blocks), &total)) {
    return absl::ResourceExhaustedError(absl::StrCat("KV cache: ", num_blocks, " blocks of ",
                                                     per_block, " bytes exceed the address space"));
  }
  KvStore store;
  store.type_ = type;
  store.num_blocks_ = num_blocks;
  size_t offset = 0;
  for (const KvLayerShape& shape : layers) {
    store.layer_offset_.push_back(offset);
    store.head_bytes_.push_back(HeadBytes(shape, type));
    offset += store.head_bytes_.back() * shape.kv_heads * num_blocks;
  }
  store.layers_ = std::move(layers);
  HEARTH_ASSIGN_OR_RETURN(store.pages_, allocate(total));
  return store;
}

KvBlock KvStore::Block(int32_t layer, BlockId block, int32_t head) const {
  const KvLayerShape& shape = layers_[layer];
  const size_t index = static_cast<size_t>(block) * shape.kv_heads + head;
  std::byte* const keys = pages_.data() + layer_offset_[layer] + index * head_bytes_[layer];
  std::byte* const values = keys + PlaneBytes(shape, type_);
  if (type_ != KvType::kInt8) return {keys, values, nullptr, nullptr};
  std::byte* const scales = values + PlaneBytes(shape, type_);
  return {keys, values, reinterpret_cast<uint16_t*>(scales),
          reinterpret_cast<uint16_t*>(scales + ScaleBytes(type_))};
}

}  // namespace hearth
