// A model: tokens in, logits and hidden states out. Families are rows of models.inc.
#ifndef HEARTH_ENGINE_MODELS_MODEL_H_
#define HEARTH_ENGINE_MODELS_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/batch.h"
#include "engine/cache/kv_store.h"
#include "engine/formats/checkpoint.h"
#include "engine/model_work.h"
#include "engine/models/weight_cache.h"
#include "engine/ops/workers.h"

namespace hearth {

struct ModelLimits {
  int32_t max_batch_tokens;  // rows of the largest Forward
  int32_t max_logit_rows;    // and of the largest Logits
  int32_t max_context;       // positions
};

// Used by the engine thread only. Its memory is fixed at Load.
class Model {
 public:
  virtual ~Model() = default;

  // Computes the batch: writes K and V of every token into `kv`. What became of the tokens stays
  // until the next Forward, for the two below; a row counts the tokens of all entries, in order.
  // REQUIRES: the batch is within the limits and every block of it within kv.
  virtual void Forward(const Batch& batch, KvStore& kv) = 0;

  // The logits after each of `rows`, [rows.size(), vocab]. The memory is the model's and holds
  // until the next call of any member; the caller may change it. REQUIRES: at most max_logit_rows.
  virtual float* Logits(absl::Span<const int32_t> rows) = 0;

  // The hidden state after the final norm of each of `rows`, [rows.size(), hidden], likewise.
  virtual const float* HiddenStates(absl::Span<const int32_t> rows) = 0;
};

// What a model will need, known before any of it is allocated.
struct ModelPlan {
  uint64_t weight_bytes = 0;
  uint64_t buffer_bytes = 0;  // activations, logits, position tables
  std::vector<KvLayerShape> kv_layers;
  ModelWork work;
  int32_t hidden = 0;  // width of a hidden state
  // For ops::Workers, whose scratch the model's ops use.
  size_t input_bytes = 0;
  int32_t widest_input = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
};

// Checks the checkpoint against its family (row M14): every tensor present and none besides, of
// the right shape and type; rotary factors usable. Errors: DataLoss naming the tensor, or the
// architecture and the known ones.
absl::StatusOr<ModelPlan> PlanModel(const Checkpoint& checkpoint, const ModelLimits& limits);

// Reads the packed weights from `cache`, which may be null; else packs those of the checkpoint and
// has the cache save them. `progress` is told bytes loaded of the plan's weight_bytes. Errors as
// PlanModel, and DataLoss for NaN or infinite weights. `workers` must outlive the model, and the
// model the cache.
absl::StatusOr<std::unique_ptr<Model>> LoadModel(
    const Checkpoint& checkpoint, const ModelLimits& limits, ops::Workers& workers,
    WeightCache* cache, const std::function<void(uint64_t bytes)>& progress);

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODELS_MODEL_H_
