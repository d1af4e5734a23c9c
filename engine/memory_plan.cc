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
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/matcher.h"
#include "engine/constrain/token_masks.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr int32_t kDefaultKvTokens = 8192;
constexpr int32_t kSmallestKvTokens = 256;  // less serves nobody
// Connections, thread stacks, the allocator's slack, requests being read and parsed (at most 16 MiB
// of bodies, each up to three times over), and what each thread reads of the file while it packs.
constexpr uint64_t kReserveBytes = 64u << 20;

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
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return KvType::kInt8;
  }
  return KvType::kF32;
}

// Within its sliding window a model attends to everything, which is what the decoder computes.
int32_t LongestContext(const Hyperparameters& h) {
  return h.sliding_window > 0 ? std::min(h.context, h.sliding_window) : h.context;
}

// What was asked for is served or refused, never cut.
absl::Status CheckContext(const Checkpoint& checkpoint, const EngineOptions& options) {
  const int32_t longest = LongestContext(checkpoint.hparams);
  if (options.max_context > longest) {
    return absl::FailedPreconditionError(absl::StrCat("max_context ", options.max_context, ": ",
                                                      checkpoint.path, " was made for ", longest));
  }
  if (options.kv_tokens > 0 && options.max_context > options.kv_tokens) {
    return absl::FailedPreconditionError(absl::StrCat("max_context ", options.max_context,
                                                      " is more than the ", options.kv_tokens,
                                                      " tokens that the KV cache holds"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Sizes> PlanFor(const Checkpoint& checkpoint, const EngineOptions& options,
                              int32_t kv_tokens, uint64_t process_bytes) {
  Sizes sizes;
  sizes.kv_type = options.kv_type.value_or(AsExactAs(checkpoint.MainType()));
  sizes.kv_blocks = BlocksFor(kv_tokens);
  const int32_t held = sizes.kv_blocks * kBlockTokens;
  sizes.limits.max_context = options.max_context > 0
                                 ? options.max_context
                                 : std::min(LongestContext(checkpoint.hparams), held);
  sizes.limits.max_batch_tokens = options.max_batch_tokens;
  sizes.limits.max_logit_rows =
      std::min(std::max(options.max_running, options.max_logit_rows), options.max_batch_tokens);
  HEARTH_ASSIGN_OR_RETURN(const ModelPlan plan, PlanModel(checkpoint, sizes.limits));

  sizes.workers.threads = options.threads;
  sizes.workers.isa = options.isa;
  sizes.workers.max_rows = options.max_batch_tokens;
  sizes.workers.input_bytes = plan.input_bytes;
  sizes.workers.max_cols = plan.widest_input;
  sizes.workers.heads = plan.heads;
  sizes.workers.kv_heads = plan.kv_heads;
  sizes.workers.head_dim = plan.head_dim;
  sizes.workers.max_context = sizes.limits.max_context;

  sizes.work = plan.work;
  sizes.kv_layers = plan.kv_layers;
  sizes.memory.kv_tokens = held;
  sizes.memory.weights = plan.weight_bytes;
  sizes.memory.kv = KvStore::BytesPerBlock(plan.kv_layers, sizes.kv_type) * sizes.kv_blocks;
  sizes.hidden = plan.hidden;
  // Of each request that was ever started, as a preempted one keeps its own: what is pooled, and
  // its place in a constraint.
  const uint64_t of_requests =
      (sizeof(float) * static_cast<uint64_t>(plan.hidden) + Matcher::kBytes) *
      static_cast<uint64_t>(options.max_running + options.max_queued);
  const uint64_t masks = (static_cast<uint64_t>(checkpoint.hparams.vocab) + 63) / 64 *
                         sizeof(uint64_t) * static_cast<uint64_t>(sizes.limits.max_logit_rows);
  sizes.memory.buffers = plan.buffer_bytes + ops::Workers::PlannedBytes(sizes.workers) +
                         TokenMasks::kBytes + kConstraintBytes + CompileBudget::kBytes +
                         of_requests + masks + process_bytes + kReserveBytes;
  sizes.memory.limit = options.memory_limit > 0 ? options.memory_limit : SystemMemoryLimit();
  return sizes;
}

std::string Mebibytes(uint64_t bytes) {
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t SystemMemoryLimit() {
  const uint64_t machine =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(machine, ops::CgroupMemory("/")) / 10 * 9;
}

absl::StatusOr<Sizes> PlanMemory(const Checkpoint& checkpoint, const EngineOptions& options,
                                 uint64_t process_bytes) {
  HEARTH_RETURN_IF_ERROR(CheckContext(checkpoint, options));
  const bool chosen = options.kv_tokens > 0;
  const int32_t smallest = std::max(kSmallestKvTokens, options.max_context);
  int32_t kv_tokens = chosen ? options.kv_tokens : std::max(kDefaultKvTokens, smallest);
  HEARTH_ASSIGN_OR_RETURN(Sizes sizes, PlanFor(checkpoint, options, kv_tokens, process_bytes));
  while (!chosen && sizes.memory.total() > sizes.memory.limit && kv_tokens > smallest) {
    kv_tokens = std::max(kv_tokens - kSmallestKvTokens, smallest);
    HEARTH_ASSIGN_OR_RETURN(sizes, PlanFor(checkpoint, options, kv_tokens, process_bytes));
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
