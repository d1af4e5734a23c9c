// The pre-norm decoder that the families share: x += attention(norm(x)); x += mlp(norm(x)).
// A family file says which tensors of the checkpoint play which part; this file computes.
#ifndef HEARTH_ENGINE_MODELS_DECODER_H_
#define HEARTH_ENGINE_MODELS_DECODER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/checkpoint.h"
#include "engine/models/model.h"
#include "engine/models/tensor_reader.h"
#include "engine/models/weight_cache.h"
#include "engine/ops/attention.h"
#include "engine/ops/matmul.h"

namespace hearth {

// Tensors whose rows, one after the other, make one projection.
using TensorRows = std::vector<Tensor>;

struct LayerTensors {
  Tensor attn_norm;    // [d]
  TensorRows qkv;      // [(heads + 2 kv_heads) * head_dim, d]
  Tensor attn_output;  // [d, heads * head_dim]
  Tensor ffn_norm;     // [d]
  TensorRows gate_up;  // [2 * ff, d]
  Tensor ffn_down;     // [d, ff]
};

struct RopeDescription {
  int32_t dims;
  double theta;
  float attention_factor;
  std::vector<float> short_factors;  // empty: all 1
  std::vector<float> long_factors;   // empty: one regime
};

// A checkpoint read as a decoder. Borrows its tensor data.
struct DecoderDescription {
  int32_t embedding;     // d
  int32_t feed_forward;  // ff
  int32_t vocab;
  float rms_epsilon;
  ops::AttentionShape attention;
  RopeDescription rope;
  Tensor token_embedding;      // [vocab, d]
  Tensor output_norm;          // [d]
  std::optional<Tensor> head;  // [vocab, d]; absent: tied to token_embedding
  std::vector<LayerTensors> layers;
};

// The family functions of models.inc. They read every tensor that the family has; DataLoss names
// one that is missing, mis-shaped or mis-typed.
absl::StatusOr<DecoderDescription> DescribePhi3(TensorReader& tensors);
absl::StatusOr<DecoderDescription> DescribeLlama(TensorReader& tensors);

// What every family has in common: the scalars, embedding, norms, output and down projections.
// `layers` come with qkv and gate_up still empty.
absl::StatusOr<DecoderDescription> DescribeCommon(TensorReader& tensors, ops::RopePairing pairing);

class Decoder final : public Model {
 public:
  static ModelPlan Plan(const DecoderDescription& description, const ModelLimits& limits);
  static absl::StatusOr<std::unique_ptr<Decoder>> Load(
      const Checkpoint& checkpoint, const DecoderDescription& description,
      const ModelLimits& limits, ops::Workers& workers, WeightCache* cache,
      const std::function<void(uint64_t bytes)>& progress);

  void Forward(const Batch& batch, KvStore& kv) override;
  float* Logits(absl::Span<const int32_t> rows) override;
  const float* HiddenStates(absl::Span<const int32_t> rows) override;

 private:
  // One product whose weights are packed by dtype: parts of equal type lie together.
  struct Projection {
    std::vector<ops::PackedMatrix> parts;
    int64_t rows = 0;
  };
  struct Layer {
    std::vector<float> attn_norm;
    Projection qkv;
    Projection attn_output;
    std::vector<float> ffn_norm;
    Projection gate_up;
    Projection ffn_down;
  };
  class Loader;

  Decoder(const DecoderDescription& description, const ModelLimits& limits, ops::Workers& workers);
  void AttentionBlock(const Layer& layer, int32_t index, const Batch& batch, KvStore& kv);
  void FeedForwardBlock(const Layer& layer, int32_t rows);

  const int32_t embedding_;
  const int32_t feed_forward_;
  const int32_t vocab_;
  const float rms_epsilon_;
  const ops::AttentionShape attention_;
  ops::Workers& workers_;
  ops::RopeTable short_rope_;
  std::optional<ops::RopeTable> long_rope_;

  Pages weights_;               // what all projections lie in
  Projection token_embedding_;  // one part
  std::optional<Projection> head_;
  std::vector<float> output_norm_;
  std::vector<Layer> layers_;

  Pages buffers_;   // what the pointers below lie in; T = max_batch_tokens
  float* x_;        // [T, d] residual stream
  float* branch_;   // [T, d], what a block adds to it; afterwards the rows that are wanted
  float* qkv_;      // [T, qkv_width]
  float* heads_;    // [T, heads * head_dim]
  float* gate_up_;  // [T, 2 * ff]
  float* logits_;   // [max_logit_rows, vocab]
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODELS_DECODER_H_
