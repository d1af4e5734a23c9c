// What a model makes a machine do at least. Rank 0.
#ifndef HEARTH_ENGINE_MODEL_WORK_H_
#define HEARTH_ENGINE_MODEL_WORK_H_

#include <cstdint>

namespace hearth {

// Attention, which grows with the context, is not in it.
struct ModelWork {
  uint64_t step_bytes = 0;      // weights that every step reads, however few its tokens
  int64_t token_products = 0;   // products with int8 weights, for each token
  int64_t logits_products = 0;  // and for each row of logits
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODEL_WORK_H_
