#include "engine/memory_plan.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr int32_t kDefaultKvTokens = 8192;
constexpr int32_t kSmallestKvTokens = 256;  // less serves nobody
// Connections, thread stacks, the allocator's slack, and the file's pages of the tensor being
// packed: 14 MiB at the peak of loading and serving a full-size Phi-4-mini.
constexpr uint64_t kReserveBytes = 24u << 20;

// Resident bytes of this process now: code, libraries, tokenizer, file metadata.
uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

int32_t BlocksFor(int32_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

// Rounding keys and values more coarsely than the weights would throw away what they cost.
KvType AsExactAs(DType weights) {
  switch (weights) {
    case DType::kF32:
      return KvType::kF32;
    case DType::kF16:
    case DType::kBF16:
      return KvType::kF16;
    case DType::kQ8_0:
    case DType::kQ4_0:
      return KvType::kInt8;
  }
  return KvType::kInt8;
}

// Within its sliding window a model attends to everything, which is what the decoder computes.
int32_t LongestContext(const Hyperparameters& h) {
  return h.sliding_window > 0 ? std::min(h.context, h.sliding_window) : h.context;
}

absl::StatusOr<Sizes> PlanFor(const Checkpoint& checkpoint, const EngineOptions& options,
                              int32_t kv_tokens, uint64_t process_bytes) {
  Sizes sizes;
  sizes.kv_type = options.kv_type.value_or(AsExactAs(checkpoint.MainType()));
  sizes.kv_blocks = BlocksFor(kv_tokens);
  const int32_t held = sizes.kv_blocks * kBlockTokens;
  const int32_t wanted = options.max_context > 0 ? options.max_context : held;
  sizes.limits.max_context = std::min({wanted, LongestContext(checkpoint.hparams), held});
  sizes.limits.max_batch_tokens = options.max_batch_tokens;
  sizes.limits.max_logit_rows = std::min(options.max_running, options.max_batch_tokens);
  HEARTH_ASSIGN_OR_RETURN(const ModelPlan plan, PlanModel(checkpoint, sizes.limits));

  sizes.workers.threads = options.threads;
  sizes.workers.isa = options.isa;
  sizes.workers.max_rows = options.max_batch_tokens;
  sizes.workers.max_cols = plan.widest_input;
  sizes.workers.heads = plan.heads;
  sizes.workers.kv_heads = plan.kv_heads;
  sizes.workers.head_dim = plan.head_dim;
  sizes.workers.max_context = sizes.limits.max_context;

  sizes.kv_layers = plan.kv_layers;
  sizes.memory.kv_tokens = held;
  sizes.memory.weights = plan.weight_bytes;
  sizes.memory.kv = KvStore::BytesPerBlock(plan.kv_layers, sizes.kv_type) * sizes.kv_blocks;
  sizes.memory.buffers =
      plan.buffer_bytes + ops::Workers::PlannedBytes(sizes.workers) + process_bytes + kReserveBytes;
  sizes.memory.limit = options.memory_limit > 0 ? options.memory_limit : SystemMemoryLimit();
  return sizes;
}

std::string Mebibytes(uint64_t bytes) {
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

uint64_t SystemMemoryLimit() {
  const uint64_t machine =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(machine, ops::CgroupMemory("/")) / 10 * 9;
}

absl::StatusOr<Sizes> PlanMemory(const Checkpoint& checkpoint, const EngineOptions& options) {
  const uint64_t process = ResidentBytes();
  const bool chosen = options.kv_tokens > 0;
  int32_t kv_tokens = chosen ? options.kv_tokens : kDefaultKvTokens;
  HEARTH_ASSIGN_OR_RETURN(Sizes sizes, PlanFor(checkpoint, options, kv_tokens, process));
  while (!chosen && sizes.memory.total() > sizes.memory.limit && kv_tokens > kSmallestKvTokens) {
    kv_tokens -= kSmallestKvTokens;
    HEARTH_ASSIGN_OR_RETURN(sizes, PlanFor(checkpoint, options, kv_tokens, process));
  }
  if (sizes.memory.total() > sizes.memory.limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        checkpoint.path, " does not fit in memory: ", sizes.memory.ToString(), ": ",
        sizes.memory.total(), " bytes needed, ", sizes.memory.limit, " bytes available"));
  }
  return sizes;
}

std::string MemoryPlan::ToString() const {
  return absl::StrCat("weights ", Mebibytes(weights), " + KV cache ", Mebibytes(kv), " (",
                      kv_tokens, " tokens) + buffers ", Mebibytes(buffers), " = ",
                      Mebibytes(total()), " of ", Mebibytes(limit));
}

}  // namespace hearth
