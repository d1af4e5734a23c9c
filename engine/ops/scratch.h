// What the ops need of Workers::scratch, each op for itself.
#ifndef HEARTH_ENGINE_OPS_SCRATCH_H_
#define HEARTH_ENGINE_OPS_SCRATCH_H_

#include <cstddef>
#include <cstdint>

#include "engine/batch.h"
#include "engine/ops/workers.h"

namespace hearth::ops {

// Takes arrays, each aligned to 64 bytes, from the front of a piece of memory.
class Arena {
 public:
  explicit Arena(std::byte* begin) : begin_(reinterpret_cast<uintptr_t>(begin)), next_(begin_) {}

  template <typename T>
  T* Take(size_t count) {
    T* array = reinterpret_cast<T*>(next_);
    next_ += Bytes<T>(count);
    return array;
  }

  // Bytes so far. An arena that begins at null only counts.
  size_t taken() const { return next_ - begin_; }

  // What Take advances by.
  template <typename T>
  static constexpr size_t Bytes(size_t count) {
    return (count * sizeof(T) + 63) / 64 * 64;
  }

 private:
  uintptr_t begin_;
  uintptr_t next_;
};

// One token of a batch.
struct BatchToken {
  int32_t row;  // among all tokens of the batch
  int32_t entry;
  int32_t position;  // in its sequence
};

// Lists the tokens of a batch in order. REQUIRES: tokens holds batch.num_tokens.
void ListTokens(const Batch& batch, BatchToken* tokens);

// RopeAndStore and Attention: see attention.cc.
size_t AttentionBytes(const WorkersOptions& options, int32_t threads);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_SCRATCH_H_
