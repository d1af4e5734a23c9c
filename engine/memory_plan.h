// How much memory there is, and whether a model fits. Rank 4.
#ifndef HEARTH_ENGINE_MEMORY_PLAN_H_
#define HEARTH_ENGINE_MEMORY_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/formats/checkpoint.h"
#include "engine/models/model.h"
#include "engine/ops/workers.h"

namespace hearth {

// Everything whose size follows from the options and the checkpoint's tensor table.
struct Sizes {
  MemoryPlan memory;
  ModelWork work;
  ModelLimits limits;
  ops::WorkersOptions workers;
  std::vector<KvLayerShape> kv_layers;
  KvType kv_type;
  int32_t kv_blocks;
  int32_t hidden;  // width of a hidden state
};

// Plans weights, KV cache and buffers against the limit, beside process_bytes that are resident
// already. With options.kv_tokens 0 the cache takes what fits, at most 8192 tokens.
// ResourceExhausted, with the arithmetic, when it does not fit.
absl::StatusOr<Sizes> PlanMemory(const Checkpoint& checkpoint, const EngineOptions& options,
                                 uint64_t process_bytes);

// Resident bytes of this process now: code, libraries, tokenizer and its tries, file metadata.
uint64_t ResidentBytes();

// Of compiled constraints, kept and in use.
inline constexpr size_t kConstraintBytes = size_t{16} << 20;

// Nine tenths of the cgroup's memory limit or the machine's memory, whichever is less.
uint64_t SystemMemoryLimit();

}  // namespace hearth

#endif  // HEARTH_ENGINE_MEMORY_PLAN_H_
