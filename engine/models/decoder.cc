#include "engine/models/decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/models/weight_file.h"
#include "engine/ops/elementwise.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// Runs of parts that share a dtype, which pack into one matrix each.
std::vector<absl::Span<const Tensor>> RunsOfOneType(absl::Span<const Tensor> parts) {
  std::vector<absl::Span<const Tensor>> runs;
  for (size_t begin = 0, end = 0; begin < parts.size(); begin = end) {
    while (end < parts.size() && parts[end].dtype == parts[begin].dtype) ++end;
    runs.push_back(parts.subspan(begin, end - begin));
  }
  return runs;
}

uint64_t PackedBytes(absl::Span<const Tensor> parts) {
  uint64_t bytes = 0;
  for (absl::Span<const Tensor> run : RunsOfOneType(parts)) {
    int64_t rows = 0;
    for (const Tensor& part : run) rows += part.rows();
    bytes += ops::PackedMatrix::PackedBytes(run[0].dtype, rows, run[0].cols());
  }
  return bytes;
}

uint64_t PackedBytes(const Tensor& tensor) { return PackedBytes(absl::MakeConstSpan(&tensor, 1)); }

// Of all projections.
uint64_t PackedBytes(const DecoderDescription& d) {
  uint64_t bytes = PackedBytes(d.token_embedding);
  if (d.head) bytes += PackedBytes(*d.head);
  for (const LayerTensors& layer : d.layers) {
    bytes += PackedBytes(layer.qkv) + PackedBytes(layer.attn_output) + PackedBytes(layer.gate_up) +
             PackedBytes(layer.ffn_down);
  }
  return bytes;
}

uint64_t WeightBytes(const DecoderDescription& d) {
  const uint64_t norm = sizeof(float) * static_cast<uint64_t>(d.embedding);
  return PackedBytes(d) + norm * (1 + 2 * d.layers.size());
}

int64_t QuantizedElements(absl::Span<const Tensor> parts) {
  int64_t elements = 0;
  for (const Tensor& part : parts) {
    if (IsQuantized(part.dtype)) elements += part.rows() * part.cols();
  }
  return elements;
}

int64_t QuantizedElements(const Tensor& tensor) {
  return QuantizedElements(absl::MakeConstSpan(&tensor, 1));
}

ModelWork Work(const DecoderDescription& d) {
  ModelWork work;
  work.step_bytes = WeightBytes(d);
  if (d.head) work.step_bytes -= PackedBytes(d.token_embedding);  // of which rows are looked up
  work.logits_products = QuantizedElements(d.head.value_or(d.token_embedding));
  for (const LayerTensors& layer : d.layers) {
    work.token_products += QuantizedElements(layer.qkv) + QuantizedElements(layer.attn_output) +
                           QuantizedElements(layer.gate_up) + QuantizedElements(layer.ffn_down);
  }
  return work;
}

// Floats of each activation buffer, in the order Decoder declares them.
std::array<size_t, 6> BufferFloats(const DecoderDescription& d, const ModelLimits& limits) {
  const size_t tokens = limits.max_batch_tokens;
  return {tokens * d.embedding,
          tokens * d.embedding,
          tokens * d.attention.qkv_width(),
          tokens * d.attention.heads * d.attention.head_dim,
          tokens * 2 * d.feed_forward,
          static_cast<size_t>(limits.max_logit_rows) * d.vocab};
}

// Scratch of the product that needs most.
size_t LargestInput(const DecoderDescription& d, int32_t tokens) {
  size_t most = 0;
  const auto count = [&](absl::Span<const Tensor> parts) {
    std::vector<DType> types;
    for (const Tensor& part : parts) types.push_back(part.dtype);
    most = std::max(most, ops::InputBytes(types, tokens, parts[0].cols()));
  };
  count({d.head.value_or(d.token_embedding)});
  for (const LayerTensors& layer : d.layers) {
    count(layer.qkv);
    count({layer.attn_output});
    count(layer.gate_up);
    count({layer.ffn_down});
  }
  return most;
}

// Buffers start on cache lines.
size_t PaddedBytes(size_t floats) { return (floats * sizeof(float) + 63) / 64 * 64; }

}  // namespace

ModelPlan Decoder::Plan(const DecoderDescription& d, const ModelLimits& limits) {
  ModelPlan plan;
  plan.weight_bytes = WeightBytes(d);
  plan.work = Work(d);
  plan.hidden = d.embedding;
  for (size_t floats : BufferFloats(d, limits)) plan.buffer_bytes += PaddedBytes(floats);
  const int32_t regimes = d.rope.long_factors.empty() ? 1 : 2;
  plan.buffer_bytes += regimes * ops::RopeTable::PlannedBytes(d.rope.dims, limits.max_context);
  plan.kv_layers.assign(d.layers.size(), {d.attention.kv_heads, d.attention.head_dim});
  plan.heads = d.attention.heads;
  plan.kv_heads = d.attention.kv_heads;
  plan.head_dim = d.attention.head_dim;
  plan.input_bytes = LargestInput(d, limits.max_batch_tokens);
  plan.widest_input =
      std::max({d.embedding, d.feed_forward, d.attention.heads * d.attention.head_dim});
  return plan;
}

// Says where in one piece of memory each projection lies, one after the other, and fills it.
class Decoder::Loader {
 public:
  Loader(const Checkpoint& checkpoint, ops::Workers& workers, const Pages& weights)
      : checkpoint_(checkpoint), workers_(workers), weights_(weights) {}

  // REQUIRES: the tensors outlive this.
  Projection Place(absl::Span<const Tensor> parts) {
    Projection projection;
    for (absl::Span<const Tensor> run : RunsOfOneType(parts)) {
      int64_t rows = 0;
      for (const Tensor& part : run) rows += part.rows();
      std::byte* memory = weights_.data() + placed_bytes_;
      projection.parts.emplace_back(run[0].dtype, rows, run[0].cols(), memory);
      projection.rows += rows;
      placed_bytes_ += projection.parts.back().bytes();
      placed_.push_back({run, memory});
    }
    return projection;
  }
  Projection Place(const Tensor& tensor) { return Place(absl::MakeConstSpan(&tensor, 1)); }

  absl::StatusOr<Layer> PlaceLayer(const LayerTensors& tensors) {
    Layer layer;
    HEARTH_ASSIGN_OR_RETURN(layer.attn_norm, ReadVector(checkpoint_, tensors.attn_norm));
    layer.qkv = Place(tensors.qkv);
    layer.attn_output = Place(tensors.attn_output);
    HEARTH_ASSIGN_OR_RETURN(layer.ffn_norm, ReadVector(checkpoint_, tensors.ffn_norm));
    layer.gate_up = Place(tensors.gate_up);
    layer.ffn_down = Place(tensors.ffn_down);
    return layer;
  }

  // All that was placed, from the cache or, packed, from the checkpoint.
  absl::Status Fill(WeightCache* cache, const std::function<void(uint64_t)>& progress) {
    HEARTH_CHECK(placed_bytes_ == weights_.bytes());
    if (cache == nullptr) return Pack(progress);
    HEARTH_ASSIGN_OR_RETURN(const uint64_t key, Key());
    const absl::Span<std::byte> weights(weights_.data(), weights_.bytes());
    if (cache->Load(workers_, key, weights)) {
      if (progress) progress(weights.size());
      return absl::OkStatus();
    }
    HEARTH_RETURN_IF_ERROR(Pack(progress));
    cache->Save(key, weights);
    return absl::OkStatus();
  }

 private:
  struct Placed {
    absl::Span<const Tensor> parts;
    std::byte* memory;
  };

  absl::Status Pack(const std::function<void(uint64_t)>& progress) {
    const auto read = [this](const std::byte* from, size_t bytes, std::byte* to) {
      return checkpoint_.Read(from, bytes, to);
    };
    uint64_t bytes = 0;
    for (const Placed& placed : placed_) {
      const absl::StatusOr<ops::PackedMatrix> packed =
          ops::Pack(workers_, placed.parts, read, placed.memory);
      if (!packed.ok()) return InFile(packed.status());
      bytes += packed->bytes();
      if (progress) progress(bytes);
    }
    return absl::OkStatus();
  }

  // What the weights are made of: the file's metadata and tensor table, its times, the beginning of
  // each matrix, and which of them lie where. Reading all of it would take as long as reading the
  // cache.
  absl::StatusOr<uint64_t> Key() const {
    constexpr size_t kSample = 4096;
    std::vector<std::byte> made_of;
    const auto add = [&made_of](const auto& value) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      made_of.insert(made_of.end(), bytes, bytes + sizeof(value));
    };
    add(checkpoint_.fingerprint);
    add(checkpoint_.stamp);
    for (const Placed& placed : placed_) {
      add(placed.memory - weights_.data());
      for (const Tensor& part : placed.parts) {
        for (const int64_t n : {int64_t{static_cast<int>(part.dtype)}, part.rows(), part.cols()}) {
          add(n);
        }
        const size_t at = made_of.size();
        made_of.resize(at + std::min(kSample, part.bytes));
        const absl::Status read =
            checkpoint_.Read(part.data, made_of.size() - at, made_of.data() + at);
        if (!read.ok()) return InFile(read);
      }
    }
    return WeightHash(made_of);
  }

  absl::Status InFile(const absl::Status& status) const {
    return absl::Status(status.code(), absl::StrCat(checkpoint_.path, ": ", status.message()));
  }

  const Checkpoint& checkpoint_;
  ops::Workers& workers_;
  const Pages& weights_;
  size_t placed_bytes_ = 0;
  std::vector<Placed> placed_;
};

Decoder::Decoder(const DecoderDescription& d, const ModelLimits& limits, ops::Workers& workers)
    : embedding_(d.embedding),
      feed_forward_(d.feed_forward),
      vocab_(d.vocab),
      rms_epsilon_(d.rms_epsilon),
      attention_(d.attention),
      workers_(workers),
      short_rope_(d.rope.dims, d.rope.theta, d.rope.short_factors, d.rope.attention_factor,
                  limits.max_context) {
  if (!d.rope.long_factors.empty()) {
    long_rope_.emplace(d.rope.dims, d.rope.theta, d.rope.long_factors, d.rope.attention_factor,
                       limits.max_context);
  }
}

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Load(
    const Checkpoint& checkpoint, const DecoderDescription& d, const ModelLimits& limits,
    ops::Workers& workers, WeightCache* cache, const std::function<void(uint64_t)>& progress) {
  std::unique_ptr<Decoder> decoder(new Decoder(d, limits, workers));
  const std::array<size_t, 6> floats = BufferFloats(d, limits);
  size_t bytes = 0;
  for (size_t count : floats) bytes += PaddedBytes(count);
  HEARTH_ASSIGN_OR_RETURN(decoder->buffers_, workers.Allocate(bytes));
  std::byte* next = decoder->buffers_.data();
  size_t i = 0;
  for (float** buffer : {&decoder->x_, &decoder->branch_, &decoder->qkv_, &decoder->heads_,
                         &decoder->gate_up_, &decoder->logits_}) {
    *buffer = reinterpret_cast<float*>(next);
    next += PaddedBytes(floats[i++]);
  }

  HEARTH_ASSIGN_OR_RETURN(decoder->weights_, workers.Allocate(PackedBytes(d)));
  Loader loader(checkpoint, workers, decoder->weights_);
  decoder->token_embedding_ = loader.Place(d.token_embedding);
  if (d.head) decoder->head_ = loader.Place(*d.head);
  HEARTH_ASSIGN_OR_RETURN(decoder->output_norm_, ReadVector(checkpoint, d.output_norm));
  for (const LayerTensors& tensors : d.layers) {
    HEARTH_ASSIGN_OR_RETURN(Layer layer, loader.PlaceLayer(tensors));
    decoder->layers_.push_back(std::move(layer));
  }
  HEARTH_RETURN_IF_ERROR(loader.Fill(cache, progress));
  return decoder;
}

void Decoder::Forward(const Batch& batch, KvStore& kv) {
  float* row = x_;
  for (const BatchEntry& entry : batch.entries) {
    ops::EmbedRows(workers_, token_embedding_.parts[0], entry.tokens, row);
    row += entry.tokens.size() * embedding_;
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    AttentionBlock(layers_[i], static_cast<int32_t>(i), batch, kv);
    FeedForwardBlock(layers_[i], batch.num_tokens);
  }
}

void Decoder::AttentionBlock(const Layer& layer, int32_t index, const Batch& batch, KvStore& kv) {
  const int32_t rows = batch.num_tokens;
  const ops::RopeTable* rope[2] = {&short_rope_, long_rope_ ? &*long_rope_ : &short_rope_};
  ops::RmsNormMatMul(workers_, layer.qkv.parts, x_, rows, layer.attn_norm.data(), rms_epsilon_,
                     qkv_);  // [T, d] -> [T, qkv_width]
  ops::RopeAndStore(workers_, batch, attention_, rope, index, qkv_, kv);
  ops::Attention(workers_, batch, attention_, index, qkv_, kv, heads_);   // [T, heads * head_dim]
  ops::MatMul(workers_, layer.attn_output.parts, heads_, rows, branch_);  // -> [T, d]
  ops::AddInPlace(workers_, x_, branch_, int64_t{rows} * embedding_);
}

void Decoder::FeedForwardBlock(const Layer& layer, int32_t rows) {
  ops::RmsNormMatMul(workers_, layer.gate_up.parts, x_, rows, layer.ffn_norm.data(), rms_epsilon_,
                     gate_up_);                                                // -> [T, 2 ff]
  ops::SwiGluMatMul(workers_, layer.ffn_down.parts, gate_up_, rows, branch_);  // -> [T, d]
  ops::AddInPlace(workers_, x_, branch_, int64_t{rows} * embedding_);
}

// The head is the largest matrix of the model: it sees only the rows whose logits are wanted.
float* Decoder::Logits(absl::Span<const int32_t> rows) {
  float* gathered = branch_;
  for (const int32_t row : rows) {
    std::memcpy(gathered, x_ + int64_t{row} * embedding_, embedding_ * sizeof(float));
    gathered += embedding_;
  }
  ops::RmsNormMatMul(workers_, (head_ ? *head_ : token_embedding_).parts, branch_,
                     static_cast<int32_t>(rows.size()), output_norm_.data(), rms_epsilon_, logits_);
  return logits_;
}

const float* Decoder::HiddenStates(absl::Span<const int32_t> rows) {
  ops::RmsNormRows(workers_, x_, rows, embedding_, output_norm_.data(), rms_epsilon_, branch_);
  return branch_;
}

}  // namespace hearth
