#include "engine/formats/gguf_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/status_macros.h"
#include "engine/tensor/detmath.h"

namespace hearth {
namespace {

// Far above any model that fits this engine's purpose, and low enough that products of any two
// stay within 64 bits with room to spare.
constexpr int32_t kMaxLayers = 1024;
constexpr int32_t kMaxHeads = 1024;
constexpr int32_t kMaxHeadDim = 4096;
constexpr int32_t kMaxWidth = 1 << 20;
constexpr int32_t kMaxContext = 1 << 22;  // the largest angle of a rotary pair (detmath::SinCos)
constexpr int32_t kMaxTokens = 1 << 20;
constexpr size_t kMaxMerges = 1 << 21;
constexpr size_t kMaxTokenBytes = 4096;
constexpr size_t kMaxTemplateBytes = 1 << 20;
constexpr size_t kMaxNameBytes = 256;

constexpr absl::string_view kTokens = "tokenizer.ggml.tokens";
constexpr absl::string_view kModel = "tokenizer.ggml.model";
constexpr absl::string_view kLongFactors = "rope_factors_long.weight";

absl::string_view NameOf(DType type) {
  return absl::string_view(Traits(type).name.data(), Traits(type).name.size());
}

std::optional<DType> FindDType(absl::string_view name) {
  const auto* type = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                  [name](DType t) { return NameOf(t) == name; });
  return type == std::end(kDTypes) ? std::nullopt : std::optional<DType>(*type);
}

absl::StatusOr<Tensor> MakeTensor(const GgufTensor& from, absl::string_view file) {
  const std::optional<DType> dtype = FindDType(from.type->name);
  if (!dtype) {
    const auto append_name = [](std::string* out, DType t) { absl::StrAppend(out, NameOf(t)); };
    return absl::DataLossError(absl::StrCat("tensor ", Printable(from.name), ": unsupported type ",
                                            from.type->name, ", expected one of ",
                                            absl::StrJoin(kDTypes, ", ", append_name)));
  }
  Tensor tensor;
  tensor.name = std::string(from.name);
  tensor.dtype = *dtype;
  tensor.rank = from.rank;
  std::reverse_copy(from.dims.begin(), from.dims.begin() + from.rank, tensor.dims.begin());
  tensor.data = reinterpret_cast<const std::byte*>(file.data() + from.offset);
  tensor.bytes = from.bytes;
  return tensor;
}

// FNV-1a, 64 bits.
uint64_t Fingerprint(const GgufFile& gguf) {
  constexpr uint64_t kPrime = 0x100000001b3;
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](unsigned char byte) { hash = (hash ^ byte) * kPrime; };
  for (char c : gguf.bytes.substr(0, gguf.data_offset)) add(static_cast<unsigned char>(c));
  for (int shift = 0; shift < 64; shift += 8) {
    add(static_cast<unsigned char>(uint64_t{gguf.bytes.size()} >> shift));
  }
  return hash;
}

// Reads the keys "<architecture>.…".
class HyperparameterReader {
 public:
  HyperparameterReader(const Checkpoint& checkpoint, const GgufMetadata& metadata)
      : checkpoint_(checkpoint), metadata_(metadata) {}

  absl::StatusOr<Hyperparameters> Read() {
    HEARTH_RETURN_IF_ERROR(ReadSizes());
    HEARTH_RETURN_IF_ERROR(ReadHeads());
    HEARTH_RETURN_IF_ERROR(ReadRope());
    HEARTH_RETURN_IF_ERROR(ReadRopeScaling());
    return h_;
  }

 private:
  std::string Key(absl::string_view name) const {
    return absl::StrCat(checkpoint_.architecture, ".", name);
  }
  absl::StatusOr<int32_t> Integer(absl::string_view name, int32_t min, int32_t max,
                                  std::optional<int32_t> fallback = {}) const {
    return metadata_.Integer(Key(name), min, max, fallback);
  }
  absl::Status Mismatch(absl::string_view name, int32_t found, absl::string_view expected) const {
    return absl::DataLossError(
        absl::StrCat("key ", Printable(Key(name)), ": value ", found, ", expected ", expected));
  }

  absl::Status ReadSizes();
  absl::Status ReadHeads();
  absl::Status ReadRope();
  absl::Status CheckScalingIsInTensors();
  absl::Status ReadRopeScaling();

  const Checkpoint& checkpoint_;
  const GgufMetadata& metadata_;
  Hyperparameters h_;
};

absl::Status HyperparameterReader::ReadSizes() {
  HEARTH_ASSIGN_OR_RETURN(h_.context, Integer("context_length", 1, kMaxContext));
  HEARTH_ASSIGN_OR_RETURN(h_.embedding, Integer("embedding_length", 1, kMaxWidth));
  HEARTH_ASSIGN_OR_RETURN(h_.feed_forward, Integer("feed_forward_length", 1, kMaxWidth));
  HEARTH_ASSIGN_OR_RETURN(h_.layers, Integer("block_count", 1, kMaxLayers));
  HEARTH_ASSIGN_OR_RETURN(h_.sliding_window,
                          Integer("attention.sliding_window", 0, kMaxContext, 0));
  HEARTH_ASSIGN_OR_RETURN(const double epsilon,
                          metadata_.Number(Key("attention.layer_norm_rms_epsilon"), 1e-12, 1e-1));
  h_.rms_epsilon = static_cast<float>(epsilon);

  const auto embedding = checkpoint_.tensors.find("token_embd.weight");
  if (embedding == checkpoint_.tensors.end()) {
    return absl::DataLossError("tensor token_embd.weight is missing");
  }
  const int64_t rows = embedding->second.rows();
  const int64_t tokens = static_cast<int64_t>(checkpoint_.vocabulary.tokens.size());
  if (rows > kMaxTokens || (tokens > 0 && rows != tokens)) {
    return absl::DataLossError(
        absl::StrCat("tensor token_embd.weight: ", rows, " rows, expected ",
                     tokens > 0 ? absl::StrCat(tokens, ", one per token of the vocabulary")
                                : absl::StrCat("at most ", kMaxTokens)));
  }
  h_.vocab = static_cast<int32_t>(rows);
  return absl::OkStatus();
}

absl::Status HyperparameterReader::ReadHeads() {
  HEARTH_ASSIGN_OR_RETURN(h_.heads, Integer("attention.head_count", 1, kMaxHeads));
  HEARTH_ASSIGN_OR_RETURN(h_.kv_heads, Integer("attention.head_count_kv", 1, kMaxHeads, h_.heads));
  if (h_.heads % h_.kv_heads != 0) {
    return Mismatch("attention.head_count_kv", h_.kv_heads,
                    absl::StrCat("a divisor of the ", h_.heads, " heads"));
  }
  if (metadata_.Find(Key("attention.key_length")) == nullptr && h_.embedding % h_.heads != 0) {
    return Mismatch("attention.head_count", h_.heads,
                    absl::StrCat("a divisor of embedding_length ", h_.embedding));
  }
  HEARTH_ASSIGN_OR_RETURN(h_.head_dim,
                          Integer("attention.key_length", 1, kMaxHeadDim, h_.embedding / h_.heads));
  if (h_.head_dim > kMaxHeadDim) {
    return Mismatch("attention.head_count", h_.heads,
                    absl::StrCat("heads of at most ", kMaxHeadDim, " elements"));
  }
  HEARTH_ASSIGN_OR_RETURN(const int32_t value_dim,
                          Integer("attention.value_length", 1, kMaxHeadDim, h_.head_dim));
  if (value_dim != h_.head_dim) {
    return Mismatch("attention.value_length", value_dim,
                    absl::StrCat("the key length, ", h_.head_dim));
  }
  return absl::OkStatus();
}

absl::Status HyperparameterReader::ReadRope() {
  HEARTH_ASSIGN_OR_RETURN(h_.rope_dims,
                          Integer("rope.dimension_count", 2, kMaxHeadDim, h_.head_dim));
  if (h_.rope_dims % 2 != 0 || h_.rope_dims > h_.head_dim) {
    return Mismatch("rope.dimension_count", h_.rope_dims,
                    absl::StrCat("an even number up to the head's ", h_.head_dim, " elements"));
  }
  HEARTH_ASSIGN_OR_RETURN(h_.rope_theta,
                          metadata_.Number(Key("rope.freq_base"), 1.0, 1e12, 10000.0));
  return absl::OkStatus();
}

// Scaling that is not in the tensors would be ignored, and every reply silently wrong.
absl::Status HyperparameterReader::CheckScalingIsInTensors() {
  const std::string key = Key("rope.scaling.type");
  HEARTH_ASSIGN_OR_RETURN(const std::string type, metadata_.String(key, kMaxNameBytes, ""));
  const bool long_factors = checkpoint_.Has(std::string(kLongFactors));
  if (type == "none" || (long_factors && (type.empty() || type == "longrope"))) {
    return absl::OkStatus();
  }
  if (!type.empty()) {
    return absl::DataLossError(absl::StrCat("key ", Printable(key), ": value ", Printable(type),
                                            ", expected none, or longrope and its factors"));
  }
  // Without a type a factor means linear scaling; 0 and 1 mean none. The second key is the older.
  for (const absl::string_view name : {"rope.scaling.factor", "rope.scale_linear"}) {
    HEARTH_ASSIGN_OR_RETURN(const double factor, metadata_.Number(Key(name), 0, 1e6, 1));
    if (factor == 0 || factor == 1) continue;
    return absl::DataLossError(absl::StrCat("key ", Printable(Key(name)), ": value ", factor,
                                            ", expected 1, no linear scaling"));
  }
  return absl::OkStatus();
}

absl::Status HyperparameterReader::ReadRopeScaling() {
  HEARTH_RETURN_IF_ERROR(CheckScalingIsInTensors());
  if (checkpoint_.Has(std::string(kLongFactors))) {
    HEARTH_ASSIGN_OR_RETURN(h_.original_context,
                            Integer("rope.scaling.original_context_length", 2, kMaxContext));
  }
  double factor = 1.0;
  if (h_.original_context > 0 && h_.context > h_.original_context) {
    const double original = h_.original_context;
    factor = std::sqrt(1.0 + detmath::Log(h_.context / original) / detmath::Log(original));
  }
  HEARTH_ASSIGN_OR_RETURN(factor,
                          metadata_.Number(Key("rope.scaling.attn_factor"), 1e-3, 1e3, factor));
  h_.rope_attention_factor = static_cast<float>(factor);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Architecture(const GgufMetadata& metadata) {
  constexpr absl::string_view kKey = "general.architecture";
  HEARTH_ASSIGN_OR_RETURN(std::string name, metadata.String(kKey, kMaxNameBytes));
  if (name.empty()) return absl::DataLossError(absl::StrCat("key ", kKey, " is empty"));
  return name;
}

absl::Status WrongLength(absl::string_view key, size_t found, size_t tokens) {
  return absl::DataLossError(
      absl::StrCat("key ", key, ": ", found, " elements, expected ", tokens, ", one per token"));
}

absl::Status ReadTokenTypes(const GgufMetadata& metadata, Vocabulary* vocabulary) {
  constexpr absl::string_view kKey = "tokenizer.ggml.token_type";
  if (metadata.Find(kKey) == nullptr) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(const std::vector<int32_t> types,
                          metadata.Int32s(kKey, vocabulary->tokens.size()));
  if (types.size() != vocabulary->tokens.size()) {
    return WrongLength(kKey, types.size(), vocabulary->tokens.size());
  }
  vocabulary->types.reserve(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < static_cast<int32_t>(TokenType::kNormal) ||
        types[i] > static_cast<int32_t>(TokenType::kByte)) {
      return absl::DataLossError(
          absl::StrCat("key ", kKey, ": token ", i, " has type ", types[i], ", expected 1..6"));
    }
    vocabulary->types.push_back(static_cast<TokenType>(types[i]));
  }
  return absl::OkStatus();
}

absl::Status ReadScores(const GgufMetadata& metadata, Vocabulary* vocabulary) {
  constexpr absl::string_view kKey = "tokenizer.ggml.scores";
  HEARTH_ASSIGN_OR_RETURN(vocabulary->scores, metadata.Floats(kKey, vocabulary->tokens.size()));
  const std::vector<float>& scores = vocabulary->scores;
  const bool needed = vocabulary->model == "llama" || metadata.Find(kKey) != nullptr;
  if (needed && scores.size() != vocabulary->tokens.size()) {
    return WrongLength(kKey, scores.size(), vocabulary->tokens.size());
  }
  const auto bad =
      std::find_if(scores.begin(), scores.end(), [](float score) { return !std::isfinite(score); });
  if (bad != scores.end()) {
    return absl::DataLossError(absl::StrCat("key ", kKey, ": token ", bad - scores.begin(),
                                            " has score ", *bad, ", expected a finite one"));
  }
  return absl::OkStatus();
}

absl::Status ReadSpecialTokens(const GgufMetadata& metadata, Vocabulary* vocabulary) {
  const int32_t last = static_cast<int32_t>(vocabulary->tokens.size()) - 1;
  const auto read = [&](absl::string_view key) { return metadata.Integer(key, 0, last, -1); };
  HEARTH_ASSIGN_OR_RETURN(vocabulary->bos, read("tokenizer.ggml.bos_token_id"));
  HEARTH_ASSIGN_OR_RETURN(vocabulary->eos, read("tokenizer.ggml.eos_token_id"));
  HEARTH_ASSIGN_OR_RETURN(vocabulary->eot, read("tokenizer.ggml.eot_token_id"));
  HEARTH_ASSIGN_OR_RETURN(vocabulary->unknown, read("tokenizer.ggml.unknown_token_id"));
  constexpr absl::string_view kAddBos = "tokenizer.ggml.add_bos_token";
  if (metadata.Find(kAddBos) != nullptr) {
    HEARTH_ASSIGN_OR_RETURN(vocabulary->add_bos, metadata.Bool(kAddBos, false));
  }
  HEARTH_ASSIGN_OR_RETURN(vocabulary->add_space_prefix,
                          metadata.Bool("tokenizer.ggml.add_space_prefix", true));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Vocabulary> GgufVocabulary(const GgufMetadata& metadata) {
  Vocabulary vocabulary;
  HEARTH_ASSIGN_OR_RETURN(vocabulary.model, metadata.String(kModel, kMaxNameBytes));
  HEARTH_ASSIGN_OR_RETURN(vocabulary.pre, metadata.String("tokenizer.ggml.pre", kMaxNameBytes, ""));
  HEARTH_ASSIGN_OR_RETURN(vocabulary.tokens, metadata.Strings(kTokens, kMaxTokens, kMaxTokenBytes));
  if (vocabulary.tokens.empty()) {
    return absl::DataLossError(absl::StrCat("key ", kTokens, " is missing or empty"));
  }
  HEARTH_RETURN_IF_ERROR(ReadTokenTypes(metadata, &vocabulary));
  HEARTH_RETURN_IF_ERROR(ReadScores(metadata, &vocabulary));
  HEARTH_ASSIGN_OR_RETURN(vocabulary.merges, metadata.Strings("tokenizer.ggml.merges", kMaxMerges,
                                                              2 * kMaxTokenBytes + 1));
  HEARTH_RETURN_IF_ERROR(ReadSpecialTokens(metadata, &vocabulary));
  HEARTH_ASSIGN_OR_RETURN(vocabulary.chat_template,
                          metadata.String("tokenizer.chat_template", kMaxTemplateBytes, ""));
  return vocabulary;
}

absl::StatusOr<Checkpoint> GgufCheckpoint(const GgufFile& gguf) {
  Checkpoint checkpoint;
  HEARTH_ASSIGN_OR_RETURN(checkpoint.architecture, Architecture(gguf.metadata));
  HEARTH_ASSIGN_OR_RETURN(checkpoint.name, gguf.metadata.String("general.name", 1 << 16, ""));
  checkpoint.fingerprint = Fingerprint(gguf);
  for (const GgufTensor& tensor : gguf.tensors) {
    HEARTH_ASSIGN_OR_RETURN(checkpoint.tensors[std::string(tensor.name)],
                            MakeTensor(tensor, gguf.bytes));
  }
  if (gguf.metadata.Find(kModel) != nullptr || gguf.metadata.Find(kTokens) != nullptr) {
    HEARTH_ASSIGN_OR_RETURN(checkpoint.vocabulary, GgufVocabulary(gguf.metadata));
  }
  HEARTH_ASSIGN_OR_RETURN(checkpoint.hparams,
                          HyperparameterReader(checkpoint, gguf.metadata).Read());
  return checkpoint;
}

FileListing ListGguf(const GgufFile& gguf) {
  FileListing listing;
  listing.format = absl::StrCat("GGUF v", gguf.version);
  for (const GgufMetadata::Entry& entry : gguf.metadata.entries()) {
    listing.metadata.push_back(
        {std::string(entry.key), TypeName(entry.value), Display(entry.value)});
  }
  for (const GgufTensor& tensor : gguf.tensors) {
    listing.tensors.push_back({std::string(tensor.name),
                               std::string(tensor.type->name),
                               {tensor.dims.begin(), tensor.dims.begin() + tensor.rank},
                               tensor.offset,
                               tensor.bytes});
  }
  return listing;
}

}  // namespace hearth
