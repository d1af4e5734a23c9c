#include "tests/tools/synthetic_model.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/formats/checkpoint.h"
#include "engine/status_macros.h"
#include "engine/tensor/detmath.h"
#include "tests/tools/gguf_writer.h"
#include "tests/tools/quantize.h"
#include "tests/tools/synthetic_vocabulary.h"

namespace hearth {
namespace {

struct Shape {
  std::string name;
  std::string architecture;
  int32_t layers, embedding, feed_forward, heads, kv_heads;
  int32_t context, original_context;
  double theta;

  bool IsPhi3() const { return architecture == "phi3"; }
  int32_t head_dim() const { return embedding / heads; }
  int32_t kv_width() const { return kv_heads * head_dim(); }
  int32_t rope_dims() const { return IsPhi3() ? head_dim() * 3 / 4 / 2 * 2 : head_dim(); }
};

DType MainType(const SyntheticModelOptions& options) {
  return options.q4_k_m ? DType::kQ4_K : options.type;
}

absl::StatusOr<Shape> MakeShape(const SyntheticModelOptions& options) {
  const Shape known[] = {
      {"tiny", "phi3", 4, 128, 320, 4, 2, 2048, 256, 10000.0},
      {"phi-4-mini", "phi3", 32, 3072, 8192, 24, 8, 131072, 4096, 10000.0},
      {"llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 131072, 8192, 500000.0},
  };
  const auto* found = std::find_if(std::begin(known), std::end(known),
                                   [&](const Shape& s) { return s.name == options.shape; });
  if (found == std::end(known)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", options.shape, ", expected tiny, phi-4-mini or llama-3.2-1b"));
  }
  Shape shape = *found;
  shape.layers = options.layers.value_or(shape.layers);
  shape.context = options.context.value_or(shape.context);
  shape.original_context = options.original_context.value_or(shape.original_context);
  shape.embedding = options.embedding.value_or(shape.embedding);
  shape.feed_forward = options.feed_forward.value_or(shape.feed_forward);
  shape.heads = options.heads.value_or(shape.heads);
  shape.kv_heads = options.kv_heads.value_or(shape.kv_heads);
  const int32_t block = Traits(MainType(options)).block_elements;
  if (shape.layers < 1 || shape.heads < 1 || shape.kv_heads < 1 || shape.embedding < 1 ||
      shape.feed_forward < 1 || shape.context < 1 || shape.original_context < 2 ||
      shape.embedding % (2 * shape.heads) != 0 || shape.heads % shape.kv_heads != 0 ||
      shape.embedding % block != 0 || shape.feed_forward % block != 0) {
    return absl::InvalidArgumentError(
        "expected positive sizes, even heads that divide the embedding, kv heads that divide the "
        "heads, and rows that are multiples of the type's block");
  }
  return shape;
}

// A tensor to be written. Either `values`, or normal numbers with this mean and deviation.
struct Plan {
  std::string name;
  std::vector<int64_t> shape;
  DType type;
  float mean = 0;
  float deviation = 0;
  std::vector<float> values;
  float outliers = 1;  // what some channels are multiplied by

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
};

Plan Matrix(std::string name, int64_t rows, int64_t columns, DType type) {
  const float deviation = 1.0f / std::sqrt(static_cast<float>(columns));
  return {absl::StrCat(name, ".weight"), {rows, columns}, type, 0.0f, deviation, {}, 1.0f};
}

Plan Norm(std::string name, int64_t size) {
  return {absl::StrCat(name, ".weight"), {size}, DType::kF32, 1.0f, 0.05f, {}, 1.0f};
}

Plan Vector(std::string name, std::vector<float> values) {
  const int64_t size = static_cast<int64_t>(values.size());
  return {absl::StrCat(name, ".weight"), {size}, DType::kF32, 0, 0, std::move(values), 1.0f};
}

// LongRoPE divisors: from 1 for the fastest pair up to context / original for the slowest.
std::vector<float> LongFactors(const Shape& shape) {
  const int32_t pairs = shape.rope_dims() / 2;
  const double ratio = std::max(1.0, static_cast<double>(shape.context) / shape.original_context);
  std::vector<float> factors;
  for (int32_t i = 0; i < pairs; ++i) {
    const double exponent = static_cast<double>(i) / std::max(1, pairs - 1);
    factors.push_back(static_cast<float>(detmath::Exp(exponent * detmath::Log(ratio))));
  }
  return factors;
}

// Llama 3.2's divisors: 32 for wavelengths beyond the original context, 1 below a quarter of it,
// and in between a blend of the frequencies.
std::vector<float> Llama3Factors(const Shape& shape) {
  constexpr double kFactor = 32, kLowFrequency = 1, kHighFrequency = 4;
  const int32_t pairs = shape.rope_dims() / 2;
  std::vector<float> factors;
  for (int32_t i = 0; i < pairs; ++i) {
    const double exponent = static_cast<double>(i) / pairs;
    const double wavelength =
        2 * std::numbers::pi * detmath::Exp(exponent * detmath::Log(shape.theta));
    const double turns = shape.original_context / wavelength;  // within the original context
    const double blend =
        std::clamp((turns - kLowFrequency) / (kHighFrequency - kLowFrequency), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - blend) / kFactor + blend)));
  }
  return factors;
}

void PlanPhi3Layer(const Shape& s, const std::string& layer, DType type, std::vector<Plan>* out) {
  out->push_back(Norm(layer + "attn_norm", s.embedding));
  out->push_back(Matrix(layer + "attn_qkv", s.embedding + 2 * s.kv_width(), s.embedding, type));
  out->push_back(Matrix(layer + "attn_output", s.embedding, s.embedding, type));
  out->push_back(Norm(layer + "ffn_norm", s.embedding));
  out->push_back(Matrix(layer + "ffn_up", 2 * s.feed_forward, s.embedding, type));
  out->push_back(Matrix(layer + "ffn_down", s.embedding, s.feed_forward, type));
}

void PlanLlamaLayer(const Shape& s, const std::string& layer, DType type, std::vector<Plan>* out) {
  out->push_back(Norm(layer + "attn_norm", s.embedding));
  out->push_back(Matrix(layer + "attn_q", s.embedding, s.embedding, type));
  out->push_back(Matrix(layer + "attn_k", s.kv_width(), s.embedding, type));
  out->push_back(Matrix(layer + "attn_v", s.kv_width(), s.embedding, type));
  out->push_back(Matrix(layer + "attn_output", s.embedding, s.embedding, type));
  out->push_back(Norm(layer + "ffn_norm", s.embedding));
  out->push_back(Matrix(layer + "ffn_gate", s.feed_forward, s.embedding, type));
  out->push_back(Matrix(layer + "ffn_up", s.feed_forward, s.embedding, type));
  out->push_back(Matrix(layer + "ffn_down", s.embedding, s.feed_forward, type));
}

// The first and last eighth of the layers, and every third of the others.
bool HasMoreBits(int32_t layer, int32_t layers) {
  const int32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

// llama.cpp's mixture Q4_K_M, of a layer's matrices.
DType TypeInQ4KM(absl::string_view name, int32_t layer, int32_t layers) {
  if (absl::EndsWith(name, "attn_qkv.weight")) return DType::kQ5_K;
  const bool counts =
      absl::EndsWith(name, "attn_v.weight") || absl::EndsWith(name, "ffn_down.weight");
  return counts && HasMoreBits(layer, layers) ? DType::kQ6_K : DType::kQ4_K;
}

std::vector<Plan> PlanTensors(const Shape& shape, const SyntheticModelOptions& options,
                              int64_t tokens) {
  std::vector<Plan> plans;
  const DType type = MainType(options);
  const DType head_type = options.head_type.value_or(options.q4_k_m ? DType::kQ6_K : type);
  plans.push_back(Matrix("token_embd", tokens, shape.embedding, head_type));
  plans.push_back(Norm("output_norm", shape.embedding));
  if (shape.IsPhi3()) {
    plans.push_back(Vector("rope_factors_long", LongFactors(shape)));
    plans.push_back(Vector("rope_factors_short", std::vector<float>(shape.rope_dims() / 2, 1.0f)));
  } else {
    plans.push_back(Vector("rope_freqs", Llama3Factors(shape)));
  }
  for (int32_t i = 0; i < shape.layers; ++i) {
    const std::string layer = absl::StrCat("blk.", i, ".");
    const size_t first = plans.size();
    (shape.IsPhi3() ? PlanPhi3Layer : PlanLlamaLayer)(shape, layer, type, &plans);
    for (size_t p = first; p < plans.size() && options.q4_k_m; ++p) {
      if (plans[p].type == type) plans[p].type = TypeInQ4KM(plans[p].name, i, shape.layers);
    }
  }
  for (Plan& plan : plans) {
    const bool of_layer = absl::StartsWith(plan.name, "blk.");
    if (of_layer && absl::EndsWith(plan.name, "_norm.weight")) plan.outliers = options.outliers;
  }
  return plans;
}

uint32_t FileType(DType type) {  // general.file_type of the GGUF specification
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ4_K:
      return 15;  // "mostly Q4_K, medium"
    case DType::kQ5_K:
      return 17;
    case DType::kQ6_K:
      return 18;
    case DType::kBF16:
      return 32;
  }
  return 0;
}

void AddMetadata(const Shape& shape, DType type, GgufWriter* gguf) {
  const auto key = [&](absl::string_view name) {
    return absl::StrCat(shape.architecture, ".", name);
  };
  gguf->AddString("general.architecture", shape.architecture);
  gguf->AddString("general.name", absl::StrCat("synthetic ", shape.name));
  gguf->AddUint32("general.file_type", FileType(type));
  gguf->AddUint32("general.quantization_version", 2);
  gguf->AddUint32(key("context_length"), shape.context);
  gguf->AddUint32(key("embedding_length"), shape.embedding);
  gguf->AddUint32(key("feed_forward_length"), shape.feed_forward);
  gguf->AddUint32(key("block_count"), shape.layers);
  gguf->AddUint32(key("attention.head_count"), shape.heads);
  gguf->AddUint32(key("attention.head_count_kv"), shape.kv_heads);
  gguf->AddFloat32(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  gguf->AddUint32(key("rope.dimension_count"), shape.rope_dims());
  gguf->AddFloat32(key("rope.freq_base"), static_cast<float>(shape.theta));
  if (!shape.IsPhi3()) return;
  const double original = shape.original_context;
  const double ratio = std::max(1.0, shape.context / original);
  gguf->AddUint32(key("rope.scaling.original_context_length"), shape.original_context);
  gguf->AddFloat32(key("rope.scaling.attn_factor"),
                   static_cast<float>(std::sqrt(1 + detmath::Log(ratio) / detmath::Log(original))));
}

// SplitMix64's finaliser: a bijection that spreads every input bit over the output.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t KeyOf(absl::string_view name, uint64_t seed) {
  uint64_t key = Mix(seed + 1);
  for (char c : name) key = Mix(key ^ static_cast<unsigned char>(c));
  return key;
}

// The index-th number of a tensor: normal enough (the sum of four uniform ones), a function of
// key and index alone, with exact integer arithmetic up to one scaling.
float Normal(uint64_t key, uint64_t index) {
  constexpr float kInverseDeviation = 1.0f / 37837.23f;  // 65536 * sqrt(4 / 12)
  const uint64_t bits = Mix(key + index * 0x9e3779b97f4a7c15);
  const int32_t sum = static_cast<int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) +
                                           ((bits >> 32) & 0xffff) + (bits >> 48));
  return static_cast<float>(sum - 131070) * kInverseDeviation;
}

bool IsOutlier(int64_t channel, int64_t channels) {
  return channel == channels / 7 || channel == channels / 2 + 1 ||
         channel == channels - channels / 11;
}

void FillRow(const Plan& plan, uint64_t key, int64_t row, absl::Span<float> out) {
  if (!plan.values.empty()) {
    std::copy(plan.values.begin(), plan.values.end(), out.begin());
    return;
  }
  const uint64_t first = static_cast<uint64_t>(row * plan.columns());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = plan.mean + plan.deviation * Normal(key, first + i);
    if (IsOutlier(static_cast<int64_t>(i), plan.columns())) out[i] *= plan.outliers;
  }
}

// Some rows of one tensor, and where in the file they go.
struct Piece {
  const Plan* plan;
  int64_t first_row, rows;
  uint64_t offset;
};

std::vector<Piece> CutIntoPieces(const std::vector<Plan>& plans, const GgufWriter& gguf,
                                 uint64_t data_offset) {
  constexpr int64_t kElements = 1 << 19;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < plans.size(); ++i) {
    const Plan& plan = plans[i];
    const int64_t step = std::max<int64_t>(1, kElements / plan.columns());
    const uint64_t row_bytes = RowBytes(plan.type, plan.columns());
    for (int64_t row = 0; row < plan.rows(); row += step) {
      pieces.push_back({&plan, row, std::min(step, plan.rows() - row),
                        data_offset + gguf.tensors[i].offset + row * row_bytes});
    }
  }
  return pieces;
}

// 0, or errno.
int WriteAt(int fd, const void* data, size_t bytes, uint64_t offset) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(fd, next, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    next += written;
    bytes -= static_cast<size_t>(written);
    offset += static_cast<uint64_t>(written);
  }
  return 0;
}

int WritePiece(int fd, const Piece& piece, uint64_t seed) {
  const Plan& plan = *piece.plan;
  const size_t row_bytes = RowBytes(plan.type, plan.columns());
  const uint64_t key = KeyOf(plan.name, seed);
  std::vector<float> row(static_cast<size_t>(plan.columns()));
  std::vector<std::byte> encoded(row_bytes * static_cast<size_t>(piece.rows));
  for (int64_t i = 0; i < piece.rows; ++i) {
    FillRow(plan, key, piece.first_row + i, absl::MakeSpan(row));
    EncodeRow(plan.type, row, &encoded[static_cast<size_t>(i) * row_bytes]);
  }
  return WriteAt(fd, encoded.data(), encoded.size(), piece.offset);
}

// Every piece by whichever thread is free; 0, or errno of a write that failed.
int WritePieces(int fd, const std::vector<Piece>& pieces, uint64_t seed) {
  std::atomic<size_t> next = 0;
  std::atomic<int> error = 0;
  const auto work = [&] {
    for (size_t i = next++; i < pieces.size() && error == 0; i = next++) {
      if (const int failed = WritePiece(fd, pieces[i], seed)) error = failed;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return error;
}

absl::Status WriteFile(const std::vector<Plan>& plans, const GgufWriter& gguf, uint64_t seed,
                       const std::string& path) {
  const std::string unfinished = path + ".part";
  const int fd = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, unfinished);
  const absl::Cleanup closer = [fd] { close(fd); };
  absl::Cleanup remover = [&unfinished] { std::remove(unfinished.c_str()); };
  const std::string header = gguf.Header();
  if (ftruncate(fd, static_cast<off_t>(header.size() + gguf.DataBytes())) != 0) {
    return absl::ErrnoToStatus(errno, unfinished);
  }
  int error = WriteAt(fd, header.data(), header.size(), 0);
  if (error == 0) error = WritePieces(fd, CutIntoPieces(plans, gguf, header.size()), seed);
  if (error == 0 && std::rename(unfinished.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) return absl::ErrnoToStatus(error, unfinished);
  std::move(remover).Cancel();
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteSyntheticModel(const SyntheticModelOptions& options, const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const Shape shape, MakeShape(options));
  Vocabulary vocabulary;
  if (options.vocabulary.empty()) {
    vocabulary = SyntheticVocabulary();
  } else {
    HEARTH_ASSIGN_OR_RETURN(vocabulary, OpenVocabulary(options.vocabulary));
  }
  GgufWriter gguf;
  AddMetadata(shape, MainType(options), &gguf);
  gguf.AddVocabulary(vocabulary);
  const std::vector<Plan> plans =
      PlanTensors(shape, options, static_cast<int64_t>(vocabulary.tokens.size()));
  for (const Plan& plan : plans) gguf.AddTensor(plan.name, plan.shape, plan.type);
  return WriteFile(plans, gguf, options.seed, path);
}

}  // namespace hearth
