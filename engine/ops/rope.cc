#include <algorithm>
#include <cstring>

#include "engine/ops/attention.h"
#include "engine/ops/scratch.h"
#include "engine/tensor/detmath.h"

namespace hearth::ops {
namespace {

// Quantises a head and spreads it over its block: of a key four elements lie together, of a value
// none. `row` holds PaddedHead(head_dim).
void StoreInt8(const kernels::Table& k, const KvBlock& block, int32_t slot, int32_t head_dim,
               const float* key, const float* value, int8_t* row) {
  auto* keys = reinterpret_cast<int8_t*>(block.keys);
  auto* values = reinterpret_cast<int8_t*>(block.values);
  k.QuantizeKv(key, head_dim, row, block.key_scales + slot);
  std::fill(row + head_dim, row + kernels::PaddedHead(head_dim), int8_t{0});
  for (int64_t i = 0; i < head_dim; i += 4) {
    std::memcpy(keys + kernels::KeyIndex(slot, i), row + i, 4);
  }
  k.QuantizeKv(value, head_dim, row, block.value_scales + slot);
  for (int64_t i = 0; i < head_dim; ++i) values[kernels::ValueIndex(slot, i, head_dim)] = row[i];
}

void StoreToken(const kernels::Table& k, const KvBlock& block, KvType type, int32_t slot,
                int32_t head_dim, const float* key, const float* value, int8_t* row) {
  const size_t first = static_cast<size_t>(slot) * head_dim;
  switch (type) {
    case KvType::kInt8:
      return StoreInt8(k, block, slot, head_dim, key, value, row);
    case KvType::kF16:
      k.NarrowKv(key, head_dim, reinterpret_cast<uint16_t*>(block.keys) + first);
      k.NarrowKv(value, head_dim, reinterpret_cast<uint16_t*>(block.values) + first);
      return;
    case KvType::kF32:
      std::copy_n(key, head_dim, reinterpret_cast<float*>(block.keys) + first);
      std::copy_n(value, head_dim, reinterpret_cast<float*>(block.values) + first);
      return;
  }
}

constexpr double kLargestAngle = 0x1p+22;

// theta^(2i/dims): how much slower pair i turns than the first.
double Slowness(int32_t pair, int32_t dims, double theta) {
  return detmath::Exp(detmath::Log(theta) * (2.0 * pair / dims));
}

}  // namespace

double RopeTable::LeastFactor(int32_t pair, int32_t dims, double theta, int32_t positions) {
  return positions / (kLargestAngle * Slowness(pair, dims, theta));
}

RopeTable::RopeTable(int32_t dims, double theta, absl::Span<const float> factors,
                     float attention_factor, int32_t positions)
    : dims_(dims), table_(static_cast<size_t>(dims) * positions) {
  for (int32_t i = 0; i < dims / 2; ++i) {
    const double factor = factors.empty() ? 1.0 : factors[i];
    const double frequency = 1.0 / (factor * Slowness(i, dims, theta));
    for (int32_t position = 0; position < positions; ++position) {
      double sine, cosine;
      detmath::SinCos(position * frequency, &sine, &cosine);
      float* row = &table_[static_cast<size_t>(position) * dims];
      row[i] = static_cast<float>(cosine * attention_factor);
      row[dims / 2 + i] = static_cast<float>(sine * attention_factor);
    }
  }
}

void RopeAndStore(Workers& workers, const Batch& batch, const AttentionShape& shape,
                  const RopeTable* const rope[2], int32_t layer, float* qkv, KvStore& kv) {
  const kernels::Table& k = workers.kernels();
  const auto rotate = shape.pairing == RopePairing::kHalves ? k.RopeHalves : k.RopeAdjacent;
  const size_t row_bytes = Arena::Bytes<int8_t>(kernels::PaddedHead(shape.head_dim));
  Arena arena(
      workers.scratch(Arena::Bytes<BatchToken>(batch.num_tokens) + workers.threads() * row_bytes));
  BatchToken* tokens = arena.Take<BatchToken>(batch.num_tokens);
  int8_t* rows = arena.Take<int8_t>(workers.threads() * row_bytes);
  ListTokens(batch, tokens);
  workers.ParallelFor(batch.num_tokens, [&](int32_t t, int32_t thread) {
    const BatchEntry& entry = batch.entries[tokens[t].entry];
    const int32_t position = tokens[t].position;
    const RopeTable& table = *rope[static_cast<int>(entry.regime)];
    float* q = qkv + static_cast<int64_t>(t) * shape.qkv_width();
    rotate(q, shape.heads + shape.kv_heads, shape.head_dim, table.dims() / 2,
           table.cosines(position), table.sines(position));
    const float* key = q + static_cast<int64_t>(shape.heads) * shape.head_dim;
    const float* value = key + static_cast<int64_t>(shape.kv_heads) * shape.head_dim;
    for (int32_t h = 0; h < shape.kv_heads; ++h) {
      const int64_t offset = static_cast<int64_t>(h) * shape.head_dim;
      StoreToken(k, kv.Block(layer, entry.blocks[position / kBlockTokens], h), kv.type(),
                 position % kBlockTokens, shape.head_dim, key + offset, value + offset,
                 rows + thread * row_bytes);
    }
  });
}

}  // namespace hearth::ops
