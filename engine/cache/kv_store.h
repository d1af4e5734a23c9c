// The memory of the KV cache: which bytes hold the keys and values of a block. No policy.
#ifndef HEARTH_ENGINE_CACHE_KV_STORE_H_
#define HEARTH_ENGINE_CACHE_KV_STORE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/batch.h"
#include "engine/kv_type.h"
#include "engine/tensor/pages.h"

namespace hearth {

struct KvLayerShape {
  int32_t kv_heads;
  int32_t head_dim;
};

// One block of one kv head of one layer: one piece of memory, keys first.
struct KvBlock {
  std::byte* keys;         // [kBlockTokens][head_dim] of f16 or f32; int8 as the kernels have it
  std::byte* values;       // (engine/kernels/layout.h)
  uint16_t* key_scales;    // [kBlockTokens] f16; null but for kInt8
  uint16_t* value_scales;  // likewise
};

// Blocks are written by one thread at a time each and read by many; the engine step orders that.
class KvStore {
 public:
  static size_t BytesPerBlock(const std::vector<KvLayerShape>& layers, KvType type);
  using Allocate = absl::FunctionRef<absl::StatusOr<Pages>(size_t bytes)>;
  static absl::StatusOr<KvStore> Create(std::vector<KvLayerShape> layers, KvType type,
                                        int32_t num_blocks, Allocate allocate = Pages::Allocate);

  // REQUIRES: layer, block and head in range.
  KvBlock Block(int32_t layer, BlockId block, int32_t head) const;
  // Of a KvBlock of that layer.
  size_t BlockBytes(int32_t layer) const { return head_bytes_[layer]; }

  KvType type() const { return type_; }
  int32_t num_blocks() const { return num_blocks_; }
  size_t bytes() const { return pages_.bytes(); }

 private:
  KvStore() = default;

  std::vector<KvLayerShape> layers_;
  std::vector<size_t> layer_offset_;  // of a layer's first block
  std::vector<size_t> head_bytes_;    // of one KvBlock, by layer
  KvType type_ = KvType::kInt8;
  int32_t num_blocks_ = 0;
  Pages pages_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CACHE_KV_STORE_H_
