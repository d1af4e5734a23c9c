#include "engine/models/decoder.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/formats/mapped_file.h"
#include "engine/models/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/models/reference_decoder.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr ModelLimits kLimits = {.max_batch_tokens = 64, .max_logit_rows = 8, .max_context = 512};

absl::StatusOr<Checkpoint> OpenModel(const std::string& name) {
  return OpenCheckpoint(absl::StrCat(HEARTH_BIN_DIR, "/../models/", name, ".gguf"));
}

// A model with what it needs around it.
struct Loaded {
  Checkpoint checkpoint;
  std::unique_ptr<ops::Workers> workers;
  std::unique_ptr<Model> model;
  std::vector<KvLayerShape> kv_layers;

  explicit Loaded(const std::string& name) {
    checkpoint = *OpenModel(name);
    const ModelPlan plan = *PlanModel(checkpoint, kLimits);
    kv_layers = plan.kv_layers;
    ops::WorkersOptions options;
    options.threads = 2;
    options.max_rows = kLimits.max_batch_tokens;
    options.input_bytes = plan.input_bytes;
    options.max_cols = plan.widest_input;
    options.heads = plan.heads;
    options.kv_heads = plan.kv_heads;
    options.head_dim = plan.head_dim;
    options.max_context = kLimits.max_context;
    workers = *ops::Workers::Create(options);
    model = *LoadModel(checkpoint, kLimits, *workers, nullptr, {});
  }

  // Logits after the last token, computed in chunks through a paged f16 cache.
  std::vector<float> Logits(const std::vector<TokenId>& tokens, RopeRegime regime, size_t chunk) {
    std::vector<float> logits;
    Forward(tokens, regime, chunk, [&](int32_t count) {
      const float* row = model->Logits({count - 1});
      logits.assign(row, row + checkpoint.hparams.vocab);
    });
    return logits;
  }

  // Of every token; in each chunk they are asked for from the back, which must not matter.
  std::vector<std::vector<float>> HiddenStates(const std::vector<TokenId>& tokens,
                                               RopeRegime regime, size_t chunk) {
    const int32_t width = checkpoint.hparams.embedding;
    std::vector<std::vector<float>> states;
    Forward(tokens, regime, chunk, [&](int32_t count) {
      std::vector<int32_t> rows(count);
      std::iota(rows.rbegin(), rows.rend(), 0);
      const float* row = model->HiddenStates(rows);
      const size_t before = states.size();
      states.resize(before + count);
      for (const int32_t i : rows) {
        states[before + i].assign(row, row + width);
        row += width;
      }
    });
    return states;
  }

  // Calls look(number of tokens) after each chunk.
  void Forward(const std::vector<TokenId>& tokens, RopeRegime regime, size_t chunk,
               const std::function<void(int32_t count)>& look) {
    const auto blocks_needed = static_cast<int32_t>(tokens.size() / kBlockTokens + 1);
    KvStore kv = *KvStore::Create(kv_layers, KvType::kF16, blocks_needed);
    std::vector<BlockId> table(blocks_needed);
    std::iota(table.rbegin(), table.rend(), 0);  // not in memory order
    for (size_t start = 0; start < tokens.size(); start += chunk) {
      const size_t count = std::min(chunk, tokens.size() - start);
      Batch batch;
      batch.entries.push_back({.request = 1,
                               .tokens = absl::MakeConstSpan(tokens).subspan(start, count),
                               .start = static_cast<int32_t>(start),
                               .blocks = table,
                               .regime = regime});
      batch.num_tokens = static_cast<int32_t>(count);
      model->Forward(batch, kv);
      look(static_cast<int32_t>(count));
    }
  }
};

std::vector<TokenId> Tokens(int count, int vocab) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 131 + 7) % vocab);
  return tokens;
}

// Keys and values are stored with 11 significant bits; their rounding, 2^-11 relative, reaches
// the logits through a few layers, each of which averages it. The logits' own size is the scale.
void ExpectClose(const std::vector<float>& logits, const std::vector<double>& reference) {
  ASSERT_EQ(logits.size(), reference.size());
  double norm = 0, difference = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    norm += reference[i] * reference[i];
    difference += (logits[i] - reference[i]) * (logits[i] - reference[i]);
  }
  EXPECT_GT(norm, 0);
  EXPECT_LT(std::sqrt(difference / norm), std::ldexp(1.0, -10));
}

TEST(Decoder, Phi3EqualsTheReferenceInBothRopeRegimes) {
  Loaded phi3("tiny-f32");
  const std::vector<TokenId> tokens = Tokens(80, phi3.checkpoint.hparams.vocab);
  const auto shorts = ReferenceLogits(phi3.checkpoint, tokens, RopeRegime::kShort);
  const auto longs = ReferenceLogits(phi3.checkpoint, tokens, RopeRegime::kLong);
  ExpectClose(phi3.Logits(tokens, RopeRegime::kShort, 33), shorts);
  ExpectClose(phi3.Logits(tokens, RopeRegime::kLong, 33), longs);
  EXPECT_NE(shorts, longs) << "the regimes must differ for this test to mean anything";
}

template <typename T>
std::vector<T> Joined(const std::vector<std::vector<T>>& rows) {
  std::vector<T> all;
  for (const std::vector<T>& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

TEST(Decoder, HiddenStatesEqualTheReference) {
  for (const char* name : {"tiny-f32", "llama-tiny-f32"}) {
    Loaded loaded(name);
    const std::vector<TokenId> tokens = Tokens(70, loaded.checkpoint.hparams.vocab);
    const auto expected = ReferenceHiddenStates(loaded.checkpoint, tokens, RopeRegime::kShort);
    const auto states = loaded.HiddenStates(tokens, RopeRegime::kShort, 33);
    ASSERT_EQ(states.size(), expected.size());
    ExpectClose(Joined(states), Joined(expected));
    EXPECT_EQ(states, loaded.HiddenStates(tokens, RopeRegime::kShort, 7)) << name;
  }
}

TEST(Decoder, LlamaEqualsTheReferenceWithOddWidths) {
  Loaded llama("llama-tiny-f32");
  ASSERT_EQ(llama.checkpoint.hparams.feed_forward, 172);
  const std::vector<TokenId> tokens = Tokens(50, llama.checkpoint.hparams.vocab);
  ExpectClose(llama.Logits(tokens, RopeRegime::kShort, 64),
              ReferenceLogits(llama.checkpoint, tokens, RopeRegime::kShort));
}

TEST(Decoder, ChunksDoNotChangeABit) {
  Loaded phi3("tiny-q4_0");
  const std::vector<TokenId> tokens = Tokens(64, phi3.checkpoint.hparams.vocab);
  const std::vector<float> whole = phi3.Logits(tokens, RopeRegime::kShort, 64);
  for (size_t chunk : {1, 7, 32}) {
    EXPECT_EQ(phi3.Logits(tokens, RopeRegime::kShort, chunk), whole) << chunk;
  }
}

TEST(Decoder, AHeadOfAnotherTypeLoads) {
  Loaded model("tiny-q4_0-head-q8_0");
  EXPECT_EQ(model.checkpoint.tensors.at("token_embd.weight").dtype, DType::kQ8_0);
  const std::vector<float> logits = model.Logits({1, 2, 3}, RopeRegime::kShort, 3);
  EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); }));
}

TEST(Decoder, ThePlanIsWhatLoadingPacks) {
  Checkpoint checkpoint = *OpenModel("tiny-q8_0");
  const ModelPlan plan = *PlanModel(checkpoint, kLimits);
  ops::WorkersOptions options;
  options.threads = 1;
  options.max_rows = kLimits.max_batch_tokens;
  options.input_bytes = plan.input_bytes;
  options.max_cols = plan.widest_input;
  auto workers = *ops::Workers::Create(options);
  uint64_t packed = 0;
  ASSERT_TRUE(
      LoadModel(checkpoint, kLimits, *workers, nullptr, [&](uint64_t b) { packed = b; }).ok());
  EXPECT_LE(packed, plan.weight_bytes);
  EXPECT_GE(packed, plan.weight_bytes * 95 / 100) << "the rest is norms";
}

// Of vectors and matrices alike: through the mapping this would be SIGBUS.
TEST(Decoder, F8_AFileThatShrinksWhileItLoadsIsAnError) {
  const std::string path = absl::StrCat(testing::TempDir(), "shrinks-", getpid(), ".gguf");
  for (const char* tensor :
       {"output_norm.weight", "blk.1.ffn_norm.weight", "blk.3.ffn_down.weight"}) {
    std::filesystem::copy_file(OpenModel("tiny-q8_0")->path, path);
    const Checkpoint checkpoint = *OpenCheckpoint(path);
    const char* data = reinterpret_cast<const char*>(checkpoint.tensors.at(tensor).data);
    std::filesystem::resize_file(path, data - checkpoint.file->bytes().data());
    auto workers = *ops::Workers::Create({.threads = 2});
    const absl::Status status = LoadModel(checkpoint, kLimits, *workers, nullptr, {}).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                testing::AllOf(StartsWith(path), HasSubstr("the file has become shorter")));
    std::filesystem::remove(path);
  }
}

// Whether the model was loaded from the cache in `folder`; if not, it is once this returns.
bool LoadsFromCache(const Checkpoint& checkpoint, const std::string& folder,
                    std::string_view isa = "") {
  std::promise<std::string> saved;
  WeightCache cache(folder, [&saved](absl::LogSeverity, const std::string& line) {
    if (!absl::StrContains(line, "another model file")) saved.set_value(line);
  });
  ops::WorkersOptions options;
  options.threads = 2;
  options.isa = isa;
  auto workers = *ops::Workers::Create(options);
  const auto model = LoadModel(checkpoint, kLimits, *workers, &cache, {});
  EXPECT_TRUE(model.ok()) << model.status();
  if (cache.loaded()) return true;
  EXPECT_THAT(saved.get_future().get(), HasSubstr("written"));
  return false;
}

TEST(Decoder, PackedWeightsAreKnownByTheFileTheyWereMadeOf) {
  const std::string folder = absl::StrCat(testing::TempDir(), "known-", getpid());
  const Checkpoint original = *OpenModel("tiny-q4_k");
  EXPECT_FALSE(LoadsFromCache(original, folder));
  EXPECT_TRUE(LoadsFromCache(original, folder));
  EXPECT_TRUE(LoadsFromCache(original, folder, "scalar")) << "one layout for all";

  Checkpoint touched = original;
  ++touched.stamp;
  EXPECT_FALSE(LoadsFromCache(touched, folder));
  Checkpoint other_metadata = original;
  ++other_metadata.fingerprint;
  EXPECT_FALSE(LoadsFromCache(other_metadata, folder));

  Checkpoint trained = original;  // in an image whose files all have the same times
  Tensor& tensor = trained.tensors.at("blk.1.ffn_down.weight");
  std::vector<std::byte> bytes(tensor.data, tensor.data + tensor.bytes);
  bytes[100] ^= std::byte{1};
  tensor.data = bytes.data();
  EXPECT_FALSE(LoadsFromCache(trained, folder));
  EXPECT_TRUE(LoadsFromCache(trained, folder));
  EXPECT_FALSE(LoadsFromCache(original, folder));
  std::filesystem::remove_all(folder);
}

TEST(Decoder, M13_UnknownArchitectureNamesTheKnownOnes) {
  Checkpoint checkpoint = *OpenModel("tiny-f32");
  checkpoint.architecture = "mamba";
  const absl::Status status = PlanModel(checkpoint, kLimits).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("mamba, expected one of phi3, llama"));
}

TEST(Decoder, M15_NaNAndInfiniteWeightsAreNamed) {
  for (const auto& [model, tensor] : {std::pair("tiny-q8_0", "blk.1.attn_qkv.weight"),
                                      std::pair("tiny-f32", "blk.2.ffn_norm.weight")}) {
    Checkpoint checkpoint = *OpenModel(model);
    Tensor& spoilt = checkpoint.tensors.at(tensor);
    std::vector<std::byte> bytes(spoilt.data, spoilt.data + spoilt.bytes);
    bytes[0] = bytes[1] = bytes[2] = bytes[3] = std::byte{0xff};  // an f16 or f32 NaN
    spoilt.data = bytes.data();
    auto workers = *ops::Workers::Create({.threads = 1});
    const absl::Status status = LoadModel(checkpoint, kLimits, *workers, nullptr, {}).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(tensor));
  }
}

// A fused product's parts keep their names.
TEST(Decoder, M15_ANaNInOnePartOfAFusedProductIsNamed) {
  for (const char* tensor : {"blk.1.attn_k.weight", "blk.0.ffn_up.weight"}) {
    Checkpoint checkpoint = *OpenModel("llama-tiny-f32");
    Tensor& spoilt = checkpoint.tensors.at(tensor);
    std::vector<std::byte> bytes(spoilt.data, spoilt.data + spoilt.bytes);
    std::fill_n(bytes.end() - 4, 4, std::byte{0xff});
    spoilt.data = bytes.data();
    auto workers = *ops::Workers::Create({.threads = 1});
    const absl::Status status = LoadModel(checkpoint, kLimits, *workers, nullptr, {}).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat(checkpoint.path, ": tensor ", tensor, ": row ", spoilt.rows() - 1,
                           ": an element is NaN or infinite"));
  }
}

TEST(Decoder, M14_TensorsOfNoUseAreNamed) {
  for (const auto& [model, tensor] :
       {std::pair("llama-tiny-f32", "blk.0.attn_q.bias"), std::pair("tiny-f32", "blk.4.attn_norm"),
        std::pair("llama-tiny-f32", "rope_factors_long.weight"),
        std::pair("tiny-f32", "rope_freqs.weight")}) {
    Checkpoint checkpoint = *OpenModel(model);
    checkpoint.tensors[tensor] = checkpoint.tensors.at("output_norm.weight");
    const absl::Status status = PlanModel(checkpoint, kLimits).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat(checkpoint.path, ": tensor ", tensor, ": architecture ",
                           checkpoint.architecture, " has none of this name"));
  }
}

TEST(Decoder, M14_QuantisedVectorsAreNamed) {
  for (const auto& [model, tensor] :
       {std::pair("tiny-f32", "output_norm.weight"), std::pair("tiny-f32", "blk.3.ffn_norm.weight"),
        std::pair("tiny-f32", "rope_factors_short.weight"),
        std::pair("llama-tiny-f32", "rope_freqs.weight")}) {
    Checkpoint checkpoint = *OpenModel(model);
    checkpoint.tensors.at(tensor).dtype = DType::kQ8_0;
    const absl::Status status = PlanModel(checkpoint, kLimits).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat(checkpoint.path, ": tensor ", tensor,
                           ": type Q8_0, expected F32, F16 or BF16 for a vector"));
  }
}

// A factor whose angles have no sine would make NaN of every key.
TEST(Decoder, M15_RopeFactorsThatAreNone) {
  for (const auto& [model, tensor] : {std::pair("tiny-f32", "rope_factors_long.weight"),
                                      std::pair("tiny-f32", "rope_factors_short.weight"),
                                      std::pair("llama-tiny-f32", "rope_freqs.weight")}) {
    for (float factor :
         {0.0f, -1.0f, 1e-30f, 1e-4f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
      Checkpoint checkpoint = *OpenModel(model);
      Tensor& spoilt = checkpoint.tensors.at(tensor);
      std::vector<std::byte> bytes(spoilt.data, spoilt.data + spoilt.bytes);
      std::memcpy(bytes.data(), &factor, sizeof(factor));
      spoilt.data = bytes.data();
      const absl::Status status = PlanModel(checkpoint, kLimits).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << status << " for " << factor;
      EXPECT_THAT(std::string(status.message()),
                  StartsWith(absl::StrCat(checkpoint.path, ": tensor ", tensor, ": ")));
    }
  }
}

TEST(Decoder, M14_MissingAndMisshapedTensorsAreNamed) {
  Checkpoint checkpoint = *OpenModel("tiny-f32");
  Checkpoint missing = checkpoint;
  missing.tensors.erase("blk.2.attn_qkv.weight");
  EXPECT_THAT(std::string(PlanModel(missing, kLimits).status().message()),
              HasSubstr("blk.2.attn_qkv.weight"));
  Checkpoint misshaped = checkpoint;
  misshaped.tensors["blk.3.ffn_down.weight"].dims[1] += 32;
  const absl::Status status = PlanModel(misshaped, kLimits).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("blk.3.ffn_down.weight: shape"));
}

}  // namespace
}  // namespace hearth
