#include "engine/models/model.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/models/decoder.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

struct Family {
  std::string_view architecture;
  absl::StatusOr<DecoderDescription> (*describe)(TensorReader&);
};

constexpr Family kFamilies[] = {
#define MODEL(architecture, describe) {architecture, describe},
#include "engine/models/models.inc"
#undef MODEL
};

absl::StatusOr<DecoderDescription> Describe(const Checkpoint& checkpoint) {
  for (const Family& family : kFamilies) {
    if (family.architecture != checkpoint.architecture) continue;
    TensorReader tensors(checkpoint);
    HEARTH_ASSIGN_OR_RETURN(DecoderDescription description, family.describe(tensors));
    HEARTH_RETURN_IF_ERROR(tensors.CheckAllRead());
    return description;
  }
  const std::string known = absl::StrJoin(
      kFamilies, ", ", [](std::string* out, const Family& f) { out->append(f.architecture); });
  return absl::DataLossError(absl::StrCat(checkpoint.path, ": architecture ",
                                          checkpoint.architecture.substr(0, 64),
                                          ", expected one of ", known));
}

}  // namespace

absl::StatusOr<DecoderDescription> DescribeCommon(TensorReader& tensors, ops::RopePairing pairing) {
  const Hyperparameters& h = tensors.hparams();
  DecoderDescription d;
  d.embedding = h.embedding;
  d.feed_forward = h.feed_forward;
  d.vocab = h.vocab;
  d.rms_epsilon = h.rms_epsilon;
  d.attention = {h.heads, h.kv_heads, h.head_dim, pairing};
  d.rope = {h.rope_dims, h.rope_theta, h.rope_attention_factor, {}, {}};
  const int64_t width = d.embedding;
  HEARTH_ASSIGN_OR_RETURN(d.token_embedding, tensors.Matrix("token_embd.weight", d.vocab, width));
  HEARTH_ASSIGN_OR_RETURN(d.output_norm, tensors.Vector("output_norm.weight", width));
  if (tensors.Has("output.weight")) {
    HEARTH_ASSIGN_OR_RETURN(d.head, tensors.Matrix("output.weight", d.vocab, width));
  }
  for (int32_t i = 0; i < h.layers; ++i) {
    const std::string block = absl::StrCat("blk.", i, ".");
    LayerTensors layer;
    HEARTH_ASSIGN_OR_RETURN(layer.attn_norm, tensors.Vector(block + "attn_norm.weight", width));
    HEARTH_ASSIGN_OR_RETURN(layer.attn_output, tensors.Matrix(block + "attn_output.weight", width,
                                                              int64_t{h.heads} * h.head_dim));
    HEARTH_ASSIGN_OR_RETURN(layer.ffn_norm, tensors.Vector(block + "ffn_norm.weight", width));
    HEARTH_ASSIGN_OR_RETURN(layer.ffn_down,
                            tensors.Matrix(block + "ffn_down.weight", width, d.feed_forward));
    d.layers.push_back(std::move(layer));
  }
  return d;
}

absl::StatusOr<ModelPlan> PlanModel(const Checkpoint& checkpoint, const ModelLimits& limits) {
  HEARTH_ASSIGN_OR_RETURN(const DecoderDescription description, Describe(checkpoint));
  return Decoder::Plan(description, limits);
}

absl::StatusOr<std::unique_ptr<Model>> LoadModel(
    const Checkpoint& checkpoint, const ModelLimits& limits, ops::Workers& workers,
    WeightCache* cache, const std::function<void(uint64_t bytes)>& progress) {
  HEARTH_ASSIGN_OR_RETURN(const DecoderDescription description, Describe(checkpoint));
  return Decoder::Load(checkpoint, description, limits, workers, cache, progress);
}

}  // namespace hearth
