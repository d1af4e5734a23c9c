#include "tests/models/reference_decoder.h"

#include <cmath>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace hearth {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;  // one vector per position

class Reference {
 public:
  Reference(const Checkpoint& checkpoint, RopeRegime regime)
      : file_(checkpoint), h_(checkpoint.hparams), phi3_(checkpoint.architecture == "phi3") {
    const std::string factors = !phi3_                        ? "rope_freqs.weight"
                                : regime == RopeRegime::kLong ? "rope_factors_long.weight"
                                                              : "rope_factors_short.weight";
    for (int i = 0; i < h_.rope_dims / 2; ++i) {
      const double factor = file_.Has(factors) ? Load(factors)[i] : 1.0;
      frequencies_.push_back(1.0 / (factor * std::pow(h_.rope_theta, 2.0 * i / h_.rope_dims)));
    }
  }

  Rows HiddenStates(const std::vector<TokenId>& tokens) {
    const Vector embedding = Load("token_embd.weight");
    Rows x;
    for (TokenId id : tokens) {
      x.emplace_back(embedding.begin() + int64_t{id} * h_.embedding,
                     embedding.begin() + (int64_t{id} + 1) * h_.embedding);
    }
    for (int layer = 0; layer < h_.layers; ++layer) {
      const std::string block = absl::StrCat("blk.", layer, ".");
      AddAttention(block, x);
      for (Vector& row : x) AddFeedForward(block, row);
    }
    for (Vector& row : x) row = Norm(row, Load("output_norm.weight"));
    return x;
  }

  Vector Logits(const Vector& hidden) {
    const char* head = file_.Has("output.weight") ? "output.weight" : "token_embd.weight";
    return Times(Load(head), hidden);
  }

 private:
  Vector Load(const std::string& name) const {
    const Tensor& tensor = file_.tensors.at(name);
    HEARTH_CHECK(tensor.dtype == DType::kF32);
    std::vector<float> floats(tensor.bytes / sizeof(float));
    std::memcpy(floats.data(), tensor.data, tensor.bytes);
    return Vector(floats.begin(), floats.end());
  }

  static Vector Times(const Vector& matrix, const Vector& x) {
    Vector out(matrix.size() / x.size());
    for (size_t n = 0; n < out.size(); ++n) {
      for (size_t k = 0; k < x.size(); ++k) out[n] += matrix[n * x.size() + k] * x[k];
    }
    return out;
  }

  Vector Norm(const Vector& x, const Vector& weight) const {
    double squares = 0;
    for (double v : x) squares += v * v;
    const double scale = 1 / std::sqrt(squares / x.size() + h_.rms_epsilon);
    Vector out(x.size());
    for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
    return out;
  }

  // phi3 rotates (i, i + dims/2), llama's GGUF rows (2i, 2i + 1).
  void Rotate(double* head, int position) const {
    const int pairs = h_.rope_dims / 2;
    for (int i = 0; i < pairs; ++i) {
      const double angle = position * frequencies_[i];
      const double c = std::cos(angle) * h_.rope_attention_factor;
      const double s = std::sin(angle) * h_.rope_attention_factor;
      double& a = head[phi3_ ? i : 2 * i];
      double& b = head[phi3_ ? i + pairs : 2 * i + 1];
      const double rotated = a * c - b * s;
      b = a * s + b * c;
      a = rotated;
    }
  }

  Vector Qkv(const std::string& block, const Vector& x) const {
    if (phi3_) return Times(Load(block + "attn_qkv.weight"), x);
    Vector out;
    for (const char* part : {"attn_q", "attn_k", "attn_v"}) {
      const Vector rows = Times(Load(absl::StrCat(block, part, ".weight")), x);
      out.insert(out.end(), rows.begin(), rows.end());
    }
    return out;
  }

  void AddAttention(const std::string& block, Rows& x) const {
    const int dim = h_.head_dim;
    Rows qkv;
    for (size_t t = 0; t < x.size(); ++t) {
      qkv.push_back(Qkv(block, Norm(x[t], Load(block + "attn_norm.weight"))));
      for (int head = 0; head < h_.heads + h_.kv_heads; ++head) {
        Rotate(&qkv[t][head * dim], static_cast<int>(t));
      }
    }
    const Vector output = Load(block + "attn_output.weight");
    for (size_t t = 0; t < x.size(); ++t) {
      Vector mixed(h_.heads * dim);
      for (int head = 0; head < h_.heads; ++head) Attend(qkv, t, head, &mixed[head * dim]);
      const Vector added = Times(output, mixed);
      for (size_t i = 0; i < added.size(); ++i) x[t][i] += added[i];
    }
  }

  void Attend(const Rows& qkv, size_t t, int head, double* out) const {
    const int dim = h_.head_dim;
    const int key = (h_.heads + head / (h_.heads / h_.kv_heads)) * dim;
    const int value = key + h_.kv_heads * dim;
    Vector weights;
    double sum = 0;
    for (size_t s = 0; s <= t; ++s) {
      double dot = 0;
      for (int i = 0; i < dim; ++i) dot += qkv[t][head * dim + i] * qkv[s][key + i];
      weights.push_back(std::exp(dot / std::sqrt(dim)));
      sum += weights.back();
    }
    for (size_t s = 0; s <= t; ++s) {
      for (int i = 0; i < dim; ++i) out[i] += weights[s] / sum * qkv[s][value + i];
    }
  }

  void AddFeedForward(const std::string& block, Vector& x) const {
    const Vector normed = Norm(x, Load(block + "ffn_norm.weight"));
    Vector gate, up = Times(Load(block + "ffn_up.weight"), normed);
    if (phi3_) {
      gate.assign(up.begin(), up.begin() + h_.feed_forward);
      up.erase(up.begin(), up.begin() + h_.feed_forward);
    } else {
      gate = Times(Load(block + "ffn_gate.weight"), normed);
    }
    for (size_t i = 0; i < up.size(); ++i) up[i] *= gate[i] / (1 + std::exp(-gate[i]));
    const Vector added = Times(Load(block + "ffn_down.weight"), up);
    for (size_t i = 0; i < added.size(); ++i) x[i] += added[i];
  }

  const Checkpoint& file_;
  const Hyperparameters& h_;
  const bool phi3_;
  Vector frequencies_;
};

}  // namespace

std::vector<double> ReferenceLogits(const Checkpoint& checkpoint,
                                    const std::vector<TokenId>& tokens, RopeRegime regime) {
  Reference reference(checkpoint, regime);
  return reference.Logits(reference.HiddenStates(tokens).back());
}

std::vector<std::vector<double>> ReferenceHiddenStates(const Checkpoint& checkpoint,
                                                       const std::vector<TokenId>& tokens,
                                                       RopeRegime regime) {
  return Reference(checkpoint, regime).HiddenStates(tokens);
}

}  // namespace hearth
