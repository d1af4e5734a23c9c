// Model files with seeded random weights: the shapes of real models, of any size.
#ifndef HEARTH_TESTS_TOOLS_SYNTHETIC_MODEL_H_
#define HEARTH_TESTS_TOOLS_SYNTHETIC_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/tensor/dtype.h"

namespace hearth {

struct SyntheticModelOptions {
  std::string shape = "tiny";      // tiny, phi-4-mini or llama-3.2-1b
  DType type = DType::kF32;        // of the matrices; vectors are F32
  std::optional<DType> head_type;  // of the embedding, which is the head too; unset: type
  // What published files named Q4_K_M hold, whatever `type` says: mostly Q4_K, more bits where they
  // count most.
  bool q4_k_m = false;
  std::string vocabulary;  // a GGUF file to take it from; empty: SyntheticVocabulary()
  uint64_t seed = 1;
  // Three channels of the residual stream are this many times as large as the others where norms
  // hand them on, as in trained models: what quantising activations costs shows there.
  float outliers = 1;

  // Departures from the shape. Heads keep embedding / heads elements.
  std::optional<int32_t> layers;
  std::optional<int32_t> context;
  std::optional<int32_t> original_context;  // LongRoPE's
  std::optional<int32_t> embedding;
  std::optional<int32_t> feed_forward;
  std::optional<int32_t> heads;
  std::optional<int32_t> kv_heads;
};

// Writes a GGUF file, whole or not at all. Equal options give equal bytes, on every CPU and with
// any number of threads. Matrices are normal with variance 1/columns, norms lie near 1, so logits
// have about unit variance. Memory is bounded, whatever the size of the model.
absl::Status WriteSyntheticModel(const SyntheticModelOptions& options, const std::string& path);

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_SYNTHETIC_MODEL_H_
