// Phi-3 and Phi-4-mini (Phi3ForCausalLM): fused qkv and gate_up, partial NeoX rotary, LongRoPE.
#include "absl/strings/str_cat.h"
#include "engine/models/decoder.h"
#include "engine/status_macros.h"

namespace hearth {

absl::StatusOr<DecoderDescription> DescribePhi3(const Checkpoint& checkpoint) {
  HEARTH_ASSIGN_OR_RETURN(DecoderDescription d,
                          DescribeCommon(checkpoint, ops::RopePairing::kHalves));
  for (size_t i = 0; i < d.layers.size(); ++i) {
    const std::string block = absl::StrCat("blk.", i, ".");
    HEARTH_ASSIGN_OR_RETURN(Tensor qkv, checkpoint.Get(block + "attn_qkv.weight",
                                                       {d.attention.qkv_width(), d.embedding}));
    HEARTH_ASSIGN_OR_RETURN(
        Tensor gate_up,
        checkpoint.Get(block + "ffn_up.weight", {2 * int64_t{d.feed_forward}, d.embedding}));
    d.layers[i].qkv = {qkv};
    d.layers[i].gate_up = {gate_up};
  }
  if (checkpoint.hparams.original_context > 0 && checkpoint.Has("rope_factors_long.weight")) {
    const int64_t pairs = d.rope.dims / 2;
    HEARTH_ASSIGN_OR_RETURN(Tensor longs, checkpoint.Get("rope_factors_long.weight", {pairs}));
    HEARTH_ASSIGN_OR_RETURN(Tensor shorts, checkpoint.Get("rope_factors_short.weight", {pairs}));
    HEARTH_ASSIGN_OR_RETURN(d.rope.long_factors, ops::ToF32(longs));
    HEARTH_ASSIGN_OR_RETURN(d.rope.short_factors, ops::ToF32(shorts));
  }
  return d;
}

}  // namespace hearth
