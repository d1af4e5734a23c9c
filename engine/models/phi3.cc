// Phi-3 and Phi-4-mini (Phi3ForCausalLM): fused qkv and gate_up, partial NeoX rotary, LongRoPE.
#include "absl/strings/str_cat.h"
#include "engine/models/decoder.h"
#include "engine/status_macros.h"

namespace hearth {

absl::StatusOr<DecoderDescription> DescribePhi3(TensorReader& tensors) {
  HEARTH_ASSIGN_OR_RETURN(DecoderDescription d, DescribeCommon(tensors, ops::RopePairing::kHalves));
  for (size_t i = 0; i < d.layers.size(); ++i) {
    const std::string block = absl::StrCat("blk.", i, ".");
    HEARTH_ASSIGN_OR_RETURN(Tensor qkv, tensors.Matrix(block + "attn_qkv.weight",
                                                       d.attention.qkv_width(), d.embedding));
    HEARTH_ASSIGN_OR_RETURN(
        Tensor gate_up,
        tensors.Matrix(block + "ffn_up.weight", 2 * int64_t{d.feed_forward}, d.embedding));
    d.layers[i].qkv = {qkv};
    d.layers[i].gate_up = {gate_up};
  }
  if (tensors.Has("rope_factors_long.weight")) {
    HEARTH_ASSIGN_OR_RETURN(d.rope.long_factors, tensors.RopeFactors("rope_factors_long.weight"));
    HEARTH_ASSIGN_OR_RETURN(d.rope.short_factors, tensors.RopeFactors("rope_factors_short.weight"));
  }
  return d;
}

}  // namespace hearth
