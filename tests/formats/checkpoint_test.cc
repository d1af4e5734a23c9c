#include "engine/formats/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/tools/small_gguf.h"
#include "tests/tools/synthetic_model.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kStories[] = HEARTH_SHARED_DATA "/models/stories260K.f32.gguf";
constexpr char kPhi4Vocabulary[] = HEARTH_SHARED_DATA "/tokenizers/phi-4-mini.vocab-only.gguf";

TEST(CheckpointTest, ErrorsNameTheFileOnce) {
  const std::string path = WriteTemporary("bad.gguf", "GGXX");
  const std::string expected = path + ": offset 0: magic \"GGXX\", expected \"GGUF\"";
  EXPECT_EQ(OpenCheckpoint(path).status().message(), expected);
  EXPECT_EQ(OpenVocabulary(path).status().message(), expected);
  EXPECT_EQ(ListFile(path).status().message(), expected);
  std::remove(path.c_str());
}

TEST(CheckpointTest, M1_PathErrorsKeepTheirCode) {
  EXPECT_TRUE(absl::IsNotFound(OpenCheckpoint("/nonexistent").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OpenCheckpoint("/dev/zero").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ListFile("/tmp").status()));
}

TEST(CheckpointTest, M2_EmptyFile) {
  const std::string path = WriteTemporary("empty.gguf", "");
  EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(path).status()));
  std::remove(path.c_str());
}

// The most memory the process has had, in bytes.
size_t PeakResident() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

TEST(CheckpointTest, M7_SparseFileOfAHugeArray) {
  constexpr uint64_t kElements = uint64_t{1} << 34;
  for (const uint32_t element : {5u, 8u}) {  // i32; strings, empty ones
    GgufWriter gguf = SmallGguf();
    RemoveKey(gguf, "tokenizer.ggml.token_type");
    gguf.AddUint32("tokenizer.ggml.token_type", 0);
    GgufWriter::Entry& entry = gguf.metadata.back();
    entry.type = 9;
    entry.payload.assign(12, '\0');
    std::memcpy(entry.payload.data(), &element, sizeof(element));
    std::memcpy(entry.payload.data() + 4, &kElements, sizeof(kElements));
    const std::string path = WriteTemporary("sparse.gguf", "");
    gguf.tensors.clear();
    std::ofstream(path, std::ios::binary) << gguf.Header();
    std::error_code error;
    std::filesystem::resize_file(path, kElements * 8 + (1 << 20), error);
    if (error) GTEST_SKIP() << "no sparse files in " << path;
    const size_t before = PeakResident();
    const absl::Status status = OpenCheckpoint(path).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("within 33554432 bytes"));
    EXPECT_LT(PeakResident() - before, size_t{64} << 20);
    std::remove(path.c_str());
  }
}

class SmallCheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = WriteTemporary("small.gguf", SmallGguf().ZeroFile());
    auto opened = OpenCheckpoint(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    checkpoint_ = *std::move(opened);
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::string path_;
  Checkpoint checkpoint_;
};

TEST_F(SmallCheckpointTest, GetsTensorsOfTheShapeAskedFor) {
  EXPECT_EQ(checkpoint_.path, path_);
  const auto embedding = checkpoint_.Get("token_embd.weight", {4, 8});
  ASSERT_TRUE(embedding.ok()) << embedding.status();
  EXPECT_EQ(embedding->rows(), 4);
  EXPECT_EQ(embedding->cols(), 8);
  EXPECT_EQ(embedding->dtype, DType::kF32);
  EXPECT_EQ(embedding->bytes, 128u);
  EXPECT_TRUE(checkpoint_.Get("output_norm.weight", {8}).ok());
  EXPECT_TRUE(checkpoint_.Has("output_norm.weight"));
  EXPECT_FALSE(checkpoint_.Has("output.weight"));
}

TEST_F(SmallCheckpointTest, M14_MissingTensor) {
  EXPECT_EQ(checkpoint_.Get("blk.0.attn_q.weight", {8, 8}).status().message(),
            path_ + ": tensor blk.0.attn_q.weight is missing, expected shape [8,8]");
}

TEST_F(SmallCheckpointTest, M14_MisshapenTensor) {
  EXPECT_EQ(checkpoint_.Get("token_embd.weight", {8, 4}).status().message(),
            path_ + ": tensor token_embd.weight: shape [4,8], expected [8,4]");
  EXPECT_FALSE(checkpoint_.Get("token_embd.weight", {32}).ok());
  EXPECT_FALSE(checkpoint_.Get("output_norm.weight", {1, 8}).ok());
}

TEST_F(SmallCheckpointTest, TensorsCanBeReadFromTheFile) {
  const auto tensor = checkpoint_.Get("output_norm.weight", {8});
  ASSERT_TRUE(tensor.ok());
  std::vector<std::byte> copy(tensor->bytes, std::byte{1});
  ASSERT_TRUE(checkpoint_.Read(tensor->data, tensor->bytes, copy.data()).ok());
  EXPECT_EQ(std::memcmp(copy.data(), tensor->data, copy.size()), 0);
}

TEST_F(SmallCheckpointTest, ACopyKeepsTheMappingAlive) {
  const Checkpoint copy = checkpoint_;
  checkpoint_ = Checkpoint();
  const auto tensor = copy.Get("output_norm.weight", {8});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->data[31], std::byte{0});
}

TEST(RealFilesTest, Stories260K) {
  if (!std::filesystem::exists(kStories)) GTEST_SKIP() << "no " << kStories;
  const auto checkpoint = OpenCheckpoint(kStories);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->architecture, "llama");
  EXPECT_EQ(checkpoint->name, "stories260K");
  const Hyperparameters& h = checkpoint->hparams;
  EXPECT_EQ(h.layers, 5);
  EXPECT_EQ(h.embedding, 64);
  EXPECT_EQ(h.feed_forward, 172);
  EXPECT_EQ(h.heads, 8);
  EXPECT_EQ(h.kv_heads, 4);
  EXPECT_EQ(h.head_dim, 8);
  EXPECT_EQ(h.rope_dims, 8);
  EXPECT_EQ(h.vocab, 512);
  EXPECT_EQ(h.context, 512);
  EXPECT_EQ(h.original_context, 0);
  EXPECT_EQ(checkpoint->tensors.size(), 47u);
  EXPECT_NE(checkpoint->vocabulary.add_bos, false);
  EXPECT_EQ(checkpoint->vocabulary.tokens[3], "<0x00>");
  const auto down = checkpoint->Get("blk.4.ffn_down.weight", {64, 172});
  ASSERT_TRUE(down.ok()) << down.status();
  float sum_of_squares = 0;
  for (size_t i = 0; i < down->bytes; i += sizeof(float)) {
    float weight;
    std::memcpy(&weight, down->data + i, sizeof(weight));
    sum_of_squares += weight * weight;
  }
  const float rms = std::sqrt(sum_of_squares / (64 * 172));
  EXPECT_GT(rms, 0.01f);
  EXPECT_LT(rms, 1.0f);
}

TEST(RealFilesTest, Phi4MiniVocabularyOpens) {
  if (!std::filesystem::exists(kPhi4Vocabulary)) GTEST_SKIP() << "no " << kPhi4Vocabulary;
  const auto vocabulary = OpenVocabulary(kPhi4Vocabulary);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->tokens.size(), 200064u);
  EXPECT_EQ(vocabulary->merges.size(), 199742u);
  EXPECT_EQ(vocabulary->tokens[200020], "<|end|>");
  EXPECT_EQ(vocabulary->eos, 199999);
  EXPECT_EQ(vocabulary->add_bos, false);
  EXPECT_THAT(vocabulary->chat_template, StartsWith("{% for message in messages %}"));
  // It has no weights, so it is no model.
  EXPECT_THAT(std::string(OpenCheckpoint(kPhi4Vocabulary).status().message()),
              HasSubstr("tensor token_embd.weight is missing"));
  EXPECT_EQ(ListFile(kPhi4Vocabulary)->tensors.size(), 2u);
}

TEST(RealFilesTest, SentencePieceVocabularies) {
  for (const auto& [name, tokens] :
       {std::pair<const char*, size_t>{"ggml-vocab-llama-spm.gguf", 32000},
        {"ggml-vocab-phi-3.gguf", 32064}}) {
    const std::string path = std::string(HEARTH_SHARED_DATA "/tokenizers/") + name;
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
    const auto vocabulary = OpenVocabulary(path);
    ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
    EXPECT_EQ(vocabulary->model, "llama");
    EXPECT_EQ(vocabulary->tokens.size(), tokens);
    EXPECT_EQ(vocabulary->scores.size(), tokens);
    EXPECT_NE(vocabulary->add_bos, false);
  }
}

TEST(RealFilesTest, M16_TruncationsOfASyntheticModelAreRefused) {
  const std::string path = TemporaryPath("tiny.gguf");
  SyntheticModelOptions options;
  options.type = DType::kQ4_0;
  ASSERT_TRUE(WriteSyntheticModel(options, path).ok());
  ASSERT_TRUE(OpenCheckpoint(path).ok()) << OpenCheckpoint(path).status();
  for (uintmax_t size = std::filesystem::file_size(path); size > 1000; size = size * 7 / 8) {
    std::filesystem::resize_file(path, size - 1000);
    EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(path).status())) << size;
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace hearth
