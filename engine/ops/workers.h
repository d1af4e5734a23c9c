// The thread pool times the kernel table: what every op runs on. One per engine; ops are called
// from the engine thread only, and return when all of their work is done.
#ifndef HEARTH_ENGINE_OPS_WORKERS_H_
#define HEARTH_ENGINE_OPS_WORKERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/kernels/kernels.h"
#include "engine/ops/cgroup.h"
#include "engine/tensor/pages.h"

namespace hearth::ops {

struct WorkersOptions {
  int32_t threads = 0;        // 0: AvailableCpus()
  std::string_view isa = "";  // kernels of this set and below; empty: HEARTH_ISA, else the best
  int32_t max_rows = 512;     // tokens of the largest batch
  size_t input_bytes = 0;     // InputBytes (matmul.h) of the product for which it is most
  int32_t max_cols = 0;       // columns of the widest input
  // Of the layer that is largest in each; they size the scratch of attention.
  int32_t heads = 0;
  int32_t kv_heads = 1;  // of the layer with the fewest
  int32_t head_dim = 0;
  int32_t max_context = 0;
};

class Workers {
 public:
  // Bytes that Create will allocate, for the memory plan.
  static size_t PlannedBytes(const WorkersOptions& options);
  // FailedPrecondition for an unknown isa, ResourceExhausted for memory or threads that cannot be
  // had.
  static absl::StatusOr<std::unique_ptr<Workers>> Create(const WorkersOptions& options);
  ~Workers();

  // Runs body(index) for each index in [0, count) on the calling thread and the pool's. Which
  // thread runs which index is unspecified and must not matter to the result. Indices are taken
  // in ascending order. Not reentrant.
  void ParallelFor(int32_t count, absl::FunctionRef<void(int32_t index)> body);
  // Likewise; `thread` in [0, threads()) tells which, for scratch of its own.
  void ParallelFor(int32_t count, absl::FunctionRef<void(int32_t index, int32_t thread)> body);

  // Pages::Allocate by all threads at once. Not reentrant either.
  absl::StatusOr<Pages> Allocate(size_t bytes);

  int32_t threads() const;
  const kernels::Table& kernels() const;
  std::string_view isa() const;
  // Scratch that lives as long as one op call, aligned to 64 bytes. REQUIRES: bytes within what
  // was planned.
  std::byte* scratch(size_t bytes);

 private:
  struct State;
  explicit Workers(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_WORKERS_H_
