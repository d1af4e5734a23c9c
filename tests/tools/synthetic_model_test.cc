#include "tests/tools/synthetic_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "tests/tools/quantize.h"

namespace hearth {
namespace {

class SyntheticModelTest : public testing::Test {
 protected:
  ~SyntheticModelTest() override { std::remove(path_.c_str()); }

  Checkpoint Write(const SyntheticModelOptions& options) {
    const absl::Status status = WriteSyntheticModel(options, path_);
    EXPECT_TRUE(status.ok()) << status;
    auto checkpoint = OpenCheckpoint(path_);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return checkpoint.ok() ? *std::move(checkpoint) : Checkpoint();
  }

  std::string Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static std::vector<float> Values(const Tensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.cols()));
    DecodeRow(tensor.dtype, tensor.data, absl::MakeSpan(values));
    return values;
  }

  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("hearth_synthetic_" + std::to_string(getpid()) + ".gguf");
};

TEST_F(SyntheticModelTest, TinyHasTheTensorsOfPhi3) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    SyntheticModelOptions options;
    options.type = type;
    const Checkpoint model = Write(options);
    EXPECT_EQ(model.architecture, "phi3");
    EXPECT_EQ(model.hparams.layers, 4);
    EXPECT_EQ(model.hparams.head_dim, 32);
    EXPECT_EQ(model.hparams.rope_dims, 24);
    EXPECT_EQ(model.hparams.context, 2048);
    EXPECT_EQ(model.hparams.original_context, 256);
    EXPECT_GT(model.hparams.rope_attention_factor, 1.0f);
    EXPECT_EQ(model.tensors.size(), 4u + 4 * 6);
    for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<int64_t>>>{
             {"token_embd.weight", {1024, 128}},
             {"blk.3.attn_qkv.weight", {256, 128}},
             {"blk.3.attn_output.weight", {128, 128}},
             {"blk.3.ffn_up.weight", {640, 128}},
             {"blk.3.ffn_down.weight", {128, 320}}}) {
      const auto tensor = model.Get(name, shape);
      ASSERT_TRUE(tensor.ok()) << tensor.status();
      EXPECT_EQ(tensor->dtype, type);
    }
    EXPECT_EQ(model.Get("output_norm.weight", {128})->dtype, DType::kF32);
    EXPECT_TRUE(model.Get("rope_factors_long.weight", {12}).ok());
  }
}

TEST_F(SyntheticModelTest, HeadTypeIsTheEmbeddings) {
  SyntheticModelOptions options;
  options.type = DType::kQ4_0;
  options.head_type = DType::kQ8_0;
  const Checkpoint model = Write(options);
  EXPECT_EQ(model.tensors.at("token_embd.weight").dtype, DType::kQ8_0);
  EXPECT_EQ(model.tensors.at("blk.0.attn_qkv.weight").dtype, DType::kQ4_0);
}

// By tensor name, how many layers have it in which type.
std::map<std::string, std::map<DType, int>> TypesOf(const Checkpoint& model) {
  std::map<std::string, std::map<DType, int>> types;
  for (const auto& [name, tensor] : model.tensors) {
    ++types[std::string(name.substr(name.rfind('.', name.rfind('.') - 1) + 1))][tensor.dtype];
  }
  return types;
}

// As the dump of a published Phi-4-mini has it: 80 tensors of Q4_K, 32 of Q5_K, 16 of Q6_K, and
// the head, which that file has as Q8_0.
TEST_F(SyntheticModelTest, Q4KMMixesAsPublishedFilesDo) {
  SyntheticModelOptions options;
  options.q4_k_m = true;
  options.layers = 32;
  options.embedding = 256;
  options.feed_forward = 256;
  auto types = TypesOf(Write(options));
  using Counts = std::map<DType, int>;
  EXPECT_EQ(types["attn_qkv.weight"], (Counts{{DType::kQ5_K, 32}}));
  EXPECT_EQ(types["attn_output.weight"], (Counts{{DType::kQ4_K, 32}}));
  EXPECT_EQ(types["ffn_up.weight"], (Counts{{DType::kQ4_K, 32}}));
  EXPECT_EQ(types["ffn_down.weight"], (Counts{{DType::kQ4_K, 16}, {DType::kQ6_K, 16}}));
  EXPECT_EQ(types["token_embd.weight"], (Counts{{DType::kQ6_K, 1}}));
  EXPECT_EQ(types["attn_norm.weight"], (Counts{{DType::kF32, 32}}));

  options.shape = "llama-3.2-1b";
  options.layers = 16;
  options.heads = 4;
  options.kv_heads = 4;
  types = TypesOf(Write(options));
  EXPECT_EQ(types["attn_v.weight"], (Counts{{DType::kQ4_K, 8}, {DType::kQ6_K, 8}}));
  EXPECT_EQ(types["attn_q.weight"], (Counts{{DType::kQ4_K, 16}}));
}

TEST_F(SyntheticModelTest, EqualOptionsGiveEqualBytes) {
  SyntheticModelOptions options;
  options.type = DType::kQ4_0;
  Write(options);
  const std::string first = Bytes();
  Write(options);
  EXPECT_TRUE(Bytes() == first);
  options.seed = 2;
  Write(options);
  EXPECT_EQ(Bytes().size(), first.size());
  EXPECT_FALSE(Bytes() == first);
}

TEST_F(SyntheticModelTest, WeightsHaveTheStatedDistribution) {
  const Checkpoint model = Write({});
  const std::vector<float> values = Values(model.tensors.at("blk.0.ffn_up.weight"));
  double sum = 0, squares = 0;
  for (float x : values) sum += x, squares += static_cast<double>(x) * x;
  const double count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0, 0.002);
  EXPECT_NEAR(std::sqrt(squares / count), 1 / std::sqrt(128.0), 0.001);
  EXPECT_NE(values, Values(model.tensors.at("blk.1.ffn_up.weight")));
  for (float x : Values(model.tensors.at("output_norm.weight"))) EXPECT_NEAR(x, 1, 0.25);
}

TEST_F(SyntheticModelTest, LongFactorsRiseToTheRatioOfTheContexts) {
  const Checkpoint model = Write({});
  const std::vector<float> factors = Values(model.tensors.at("rope_factors_long.weight"));
  EXPECT_EQ(factors.front(), 1.0f);
  EXPECT_NEAR(factors.back(), 8.0f, 1e-5);
  for (float x : Values(model.tensors.at("rope_factors_short.weight"))) EXPECT_EQ(x, 1.0f);
}

TEST_F(SyntheticModelTest, LlamaHasItsTensorsAndFactors) {
  SyntheticModelOptions options;
  options.shape = "llama-3.2-1b";
  options.type = DType::kQ8_0;
  options.layers = 1;
  options.feed_forward = 256;
  const Checkpoint model = Write(options);
  EXPECT_EQ(model.architecture, "llama");
  EXPECT_EQ(model.hparams.rope_theta, 500000.0);
  EXPECT_EQ(model.hparams.original_context, 0);
  EXPECT_TRUE(model.Get("blk.0.attn_k.weight", {512, 2048}).ok());
  EXPECT_TRUE(model.Get("blk.0.ffn_gate.weight", {256, 2048}).ok());
  const std::vector<float> factors = Values(model.tensors.at("rope_freqs.weight"));
  std::ifstream file(HEARTH_SHARED_DATA "/golden/rope_goldens.json");
  if (!file) GTEST_SKIP() << "no rope_goldens.json under " HEARTH_SHARED_DATA;
  const std::vector<double> golden =
      nlohmann::json::parse(file)["llama32_1b_hd64"]["rope_freqs_factors"];
  ASSERT_EQ(factors.size(), golden.size());
  for (size_t i = 0; i < golden.size(); ++i) EXPECT_NEAR(factors[i] / golden[i], 1, 1e-5) << i;
}

TEST_F(SyntheticModelTest, ShapesCanBeChanged) {
  SyntheticModelOptions options;
  options.layers = 1;
  options.context = 64;
  options.original_context = 32;
  options.embedding = 64;
  options.feed_forward = 96;
  options.heads = 2;
  options.kv_heads = 1;
  const Checkpoint model = Write(options);
  EXPECT_EQ(model.hparams.layers, 1);
  EXPECT_EQ(model.hparams.context, 64);
  EXPECT_EQ(model.hparams.original_context, 32);
  EXPECT_TRUE(model.Get("blk.0.attn_qkv.weight", {128, 64}).ok());
  EXPECT_TRUE(model.Get("blk.0.ffn_down.weight", {64, 96}).ok());
}

TEST_F(SyntheticModelTest, TakesAVocabularyFromAFile) {
  const std::string source = HEARTH_SHARED_DATA "/tokenizers/ggml-vocab-llama-spm.gguf";
  if (!std::filesystem::exists(source)) GTEST_SKIP() << "no " << source;
  SyntheticModelOptions options;
  options.vocabulary = source;
  options.embedding = 32;
  options.heads = 1;
  options.kv_heads = 1;
  const Checkpoint model = Write(options);
  const auto vocabulary = OpenVocabulary(source);
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(model.hparams.vocab, 32000);
  EXPECT_EQ(model.vocabulary.tokens, vocabulary->tokens);
  EXPECT_EQ(model.vocabulary.scores, vocabulary->scores);
  EXPECT_EQ(model.vocabulary.types, vocabulary->types);
  EXPECT_EQ(model.vocabulary.bos, vocabulary->bos);
  EXPECT_EQ(model.vocabulary.add_bos, vocabulary->add_bos);
}

TEST_F(SyntheticModelTest, RefusesImpossibleShapesAndLeavesNoFile) {
  SyntheticModelOptions unknown;
  unknown.shape = "huge";
  EXPECT_TRUE(absl::IsInvalidArgument(WriteSyntheticModel(unknown, path_)));
  SyntheticModelOptions heads;
  heads.heads = 3;
  EXPECT_TRUE(absl::IsInvalidArgument(WriteSyntheticModel(heads, path_)));
  SyntheticModelOptions block;
  block.type = DType::kQ4_0;
  block.feed_forward = 172;
  EXPECT_TRUE(absl::IsInvalidArgument(WriteSyntheticModel(block, path_)));
  EXPECT_FALSE(WriteSyntheticModel({}, "/nonexistent/model.gguf").ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace hearth
