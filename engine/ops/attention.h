// Rotary embedding and attention over the paged KV cache.
#ifndef HEARTH_ENGINE_OPS_ATTENTION_H_
#define HEARTH_ENGINE_OPS_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/batch.h"
#include "engine/cache/kv_store.h"
#include "engine/ops/workers.h"

namespace hearth::ops {

// Which elements of a head rotate together: (i, i + dims/2), as GPT-NeoX, or (2i, 2i + 1).
enum class RopePairing : uint8_t { kHalves, kAdjacent };

// cos and sin by position, computed in double (detmath) and stored as f32.
class RopeTable {
 public:
  // factors: one divisor per pair, or empty for all 1. inv_freq_i = 1 / (factor_i *
  // theta^(2i/dims)); cos and sin are multiplied by attention_factor.
  // REQUIRES: dims even, theta > 0, every factor at least LeastFactor.
  RopeTable(int32_t dims, double theta, absl::Span<const float> factors, float attention_factor,
            int32_t positions);

  // The least divisor of a pair with which every position's angle has a sine (detmath::SinCos).
  static double LeastFactor(int32_t pair, int32_t dims, double theta, int32_t positions);

  int32_t dims() const { return dims_; }
  const float* cosines(int32_t position) const { return table_.data() + size_t(position) * dims_; }
  const float* sines(int32_t position) const { return cosines(position) + dims_ / 2; }
  static size_t PlannedBytes(int32_t dims, int32_t positions) {
    return sizeof(float) * size_t(dims) * positions;
  }

 private:
  int32_t dims_;
  std::vector<float> table_;  // [positions][cos dims/2 | sin dims/2]
};

struct AttentionShape {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  RopePairing pairing;

  int32_t qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
};

// Rotates q and k of every token of the batch in place and stores k and v into the cache.
// qkv: [batch.num_tokens, qkv_width], a row is q heads, k heads, v heads. rope[regime] is used
// for entries of that regime; equal pointers where a model has one.
void RopeAndStore(Workers& workers, const Batch& batch, const AttentionShape& shape,
                  const RopeTable* const rope[2], int32_t layer, float* qkv, KvStore& kv);

// out[t, h, :] = softmax(q_t,h · K / sqrt(head_dim)) V over the positions <= t of its entry,
// read from the cache as stored (ARCHITECTURE.md, One arithmetic). In order: q is multiplied by
// f32(1 / sqrt(head_dim)), and quantised for an int8 cache (QuantizeHeads); chunks of 256 positions
// from position 0 are scored, soft-maximised and summed each by itself (kernels.h: Qk, Softmax, Pv
// from zero; QuantizeWeights before PvInt8), then folded in ascending order (Fold) and divided by
// the sum. Threads split heads, tokens and chunks, never a chunk; sequences that begin with the
// same blocks read them together. out: [batch.num_tokens, heads * head_dim].
void Attention(Workers& workers, const Batch& batch, const AttentionShape& shape, int32_t layer,
               const float* qkv, const KvStore& kv, float* out);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_ATTENTION_H_
