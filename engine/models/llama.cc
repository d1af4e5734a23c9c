// Llama 2 and 3 (LlamaForCausalLM): separate q, k, v and gate, up, here packed as one product
// each. GGUF files permute the rows of q and k for adjacent rotary pairs.
#include "absl/strings/str_cat.h"
#include "engine/models/decoder.h"
#include "engine/status_macros.h"

namespace hearth {

absl::StatusOr<DecoderDescription> DescribeLlama(TensorReader& tensors) {
  HEARTH_ASSIGN_OR_RETURN(DecoderDescription d,
                          DescribeCommon(tensors, ops::RopePairing::kAdjacent));
  const int64_t q_rows = int64_t{d.attention.heads} * d.attention.head_dim;
  const int64_t kv_rows = int64_t{d.attention.kv_heads} * d.attention.head_dim;
  for (size_t i = 0; i < d.layers.size(); ++i) {
    const std::string block = absl::StrCat("blk.", i, ".");
    const auto get = [&](const char* name, int64_t rows) {
      return tensors.Matrix(absl::StrCat(block, name, ".weight"), rows, d.embedding);
    };
    HEARTH_ASSIGN_OR_RETURN(Tensor q, get("attn_q", q_rows));
    HEARTH_ASSIGN_OR_RETURN(Tensor k, get("attn_k", kv_rows));
    HEARTH_ASSIGN_OR_RETURN(Tensor v, get("attn_v", kv_rows));
    HEARTH_ASSIGN_OR_RETURN(Tensor gate, get("ffn_gate", d.feed_forward));
    HEARTH_ASSIGN_OR_RETURN(Tensor up, get("ffn_up", d.feed_forward));
    d.layers[i].qkv = {q, k, v};
    d.layers[i].gate_up = {gate, up};
  }
  if (tensors.Has("rope_freqs.weight")) {
    HEARTH_ASSIGN_OR_RETURN(d.rope.short_factors, tensors.RopeFactors("rope_freqs.weight"));
  }
  return d;
}

}  // namespace hearth
