// What metadata and tensors say of a model; rows M13, M14 and M17 of the catalogue of bad inputs.
#include "engine/formats/gguf_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/tools/small_gguf.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The bytes must outlive the checkpoint; the tests look at no tensor data.
absl::StatusOr<Checkpoint> Read(const GgufWriter& writer) {
  const std::string bytes = writer.ZeroFile();
  const auto gguf = ParseGguf(bytes);
  EXPECT_TRUE(gguf.ok()) << gguf.status();
  return GgufCheckpoint(*gguf);
}

std::string Refusal(const GgufWriter& writer) {
  const absl::Status status = Read(writer).status();
  if (status.ok()) return "accepted";
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  return std::string(status.message());
}

GgufWriter Without(absl::string_view key) {
  GgufWriter gguf = SmallGguf();
  RemoveKey(gguf, key);
  return gguf;
}

GgufWriter With(absl::string_view key, uint32_t value) {
  GgufWriter gguf = SmallGguf();
  for (const auto& entry : SmallGguf().metadata) {
    if (entry.key == key) RemoveKey(gguf, key);
  }
  gguf.AddUint32(key, value);
  return gguf;
}

GgufWriter WithoutLongFactors() {
  GgufWriter gguf = SmallGguf();
  TensorOf(gguf, "rope_factors_long.weight").name = "another.weight";
  return gguf;
}

TEST(GgufCheckpointTest, ReadsHyperparameters) {
  const auto checkpoint = Read(SmallGguf());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->architecture, "phi3");
  EXPECT_EQ(checkpoint->name, "small");
  const Hyperparameters& h = checkpoint->hparams;
  EXPECT_EQ(h.layers, 1);
  EXPECT_EQ(h.embedding, 8);
  EXPECT_EQ(h.feed_forward, 16);
  EXPECT_EQ(h.heads, 2);
  EXPECT_EQ(h.kv_heads, 1);
  EXPECT_EQ(h.head_dim, 4);
  EXPECT_EQ(h.vocab, 4);
  EXPECT_EQ(h.context, 4096);
  EXPECT_EQ(h.original_context, 64);
  EXPECT_EQ(h.rms_epsilon, 1e-5f);
  EXPECT_EQ(h.rope_dims, 2);
  EXPECT_EQ(h.rope_theta, 10000.0);
  EXPECT_EQ(h.sliding_window, 0);
}

TEST(GgufCheckpointTest, DefaultsOfAbsentKeys) {
  GgufWriter gguf = SmallGguf();
  for (const char* key : {"attention.head_count_kv", "rope.dimension_count", "rope.freq_base"}) {
    RemoveKey(gguf, absl::StrCat("phi3.", key));
  }
  const auto checkpoint = Read(gguf);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->hparams.kv_heads, 2);
  EXPECT_EQ(checkpoint->hparams.rope_dims, 4);
  EXPECT_EQ(checkpoint->hparams.rope_theta, 10000.0);
}

TEST(GgufCheckpointTest, AttentionFactorFollowsFromTheContexts) {
  const auto derived = Read(SmallGguf());
  ASSERT_TRUE(derived.ok());
  EXPECT_FLOAT_EQ(derived->hparams.rope_attention_factor,
                  std::sqrt(1 + std::log(4096.0 / 64) / std::log(64.0)));
  GgufWriter stated = SmallGguf();
  stated.AddFloat32("phi3.rope.scaling.attn_factor", 1.25f);
  EXPECT_EQ(Read(stated)->hparams.rope_attention_factor, 1.25f);
  EXPECT_EQ(Read(With("phi3.context_length", 64))->hparams.rope_attention_factor, 1.0f);
}

TEST(GgufCheckpointTest, WithoutLongFactorsThereIsNoOriginalContext) {
  const auto checkpoint = Read(WithoutLongFactors());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->hparams.original_context, 0);
  EXPECT_EQ(checkpoint->hparams.rope_attention_factor, 1.0f);
}

TEST(GgufCheckpointTest, KeyLengthSetsTheHead) {
  const auto checkpoint = Read(With("phi3.attention.key_length", 6));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->hparams.head_dim, 6);
  GgufWriter gguf = With("phi3.attention.key_length", 6);
  gguf.AddUint32("phi3.attention.value_length", 4);
  EXPECT_THAT(Refusal(gguf), HasSubstr("phi3.attention.value_length: value 4, expected the key"));
}

TEST(GgufCheckpointTest, AnyArchitectureIsRead) {
  GgufWriter gguf = SmallGguf();
  for (auto& entry : gguf.metadata) {
    if (absl::string_view(entry.key).substr(0, 5) == "phi3.") entry.key.replace(0, 4, "novel");
  }
  RemoveKey(gguf, "general.architecture");
  gguf.AddString("general.architecture", "novel");
  const auto checkpoint = Read(gguf);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->architecture, "novel");
}

TEST(GgufCheckpointTest, FingerprintChangesWithMetadataTableAndSize) {
  const uint64_t fingerprint = Read(SmallGguf())->fingerprint;
  EXPECT_EQ(Read(SmallGguf())->fingerprint, fingerprint);
  EXPECT_NE(Read(With("phi3.context_length", 4095))->fingerprint, fingerprint);
  GgufWriter renamed = SmallGguf();
  renamed.tensors.back().name = "blk.0.attn_norm.weighs";
  EXPECT_NE(Read(renamed)->fingerprint, fingerprint);
}

TEST(GgufCheckpointTest, M13_ArchitectureMissing) {
  EXPECT_EQ(Refusal(Without("general.architecture")), "key general.architecture is missing");
  GgufWriter empty = Without("general.architecture");
  empty.AddString("general.architecture", "");
  EXPECT_EQ(Refusal(empty), "key general.architecture is empty");
  EXPECT_THAT(Refusal(With("general.architecture", 7)), HasSubstr("type u32, expected str"));
}

TEST(GgufCheckpointTest, M13_ArchitectureOfOtherKeys) {
  GgufWriter gguf = Without("general.architecture");
  gguf.AddString("general.architecture", "llama");
  EXPECT_EQ(Refusal(gguf), "key llama.context_length is missing");
}

TEST(GgufCheckpointTest, M13_RequiredKeysMissing) {
  for (const char* name :
       {"context_length", "embedding_length", "feed_forward_length", "block_count",
        "attention.head_count", "attention.layer_norm_rms_epsilon",
        "rope.scaling.original_context_length"}) {
    const std::string key = absl::StrCat("phi3.", name);
    EXPECT_EQ(Refusal(Without(key)), absl::StrCat("key ", key, " is missing"));
  }
}

TEST(GgufCheckpointTest, M13_WrongKeyTypes) {
  for (const char* name :
       {"context_length", "embedding_length", "feed_forward_length", "block_count",
        "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon",
        "rope.dimension_count", "rope.freq_base", "rope.scaling.original_context_length"}) {
    const std::string key = absl::StrCat("phi3.", name);
    GgufWriter gguf = Without(key);
    gguf.AddString(key, "32");
    EXPECT_THAT(Refusal(gguf), HasSubstr(absl::StrCat("key ", key, ": type str, expected")));
    GgufWriter array = Without(key);
    array.AddInt32s(key, {32, 32});
    EXPECT_THAT(Refusal(array), HasSubstr(absl::StrCat("key ", key, ": type arr[i32,2]")));
  }
}

TEST(GgufCheckpointTest, M13_SizesOutOfRange) {
  for (const char* name :
       {"context_length", "embedding_length", "feed_forward_length", "block_count",
        "attention.head_count", "attention.head_count_kv", "attention.key_length"}) {
    const std::string key = absl::StrCat("phi3.", name);
    for (uint32_t value : {0u, (1u << 22) + 1, 0xffffffffu}) {
      EXPECT_THAT(Refusal(With(key, value)),
                  HasSubstr(absl::StrCat("key ", key, ": value ", value, ", expected 1..")));
    }
    GgufWriter negative = With(key, 1);
    RemoveKey(negative, key);
    negative.AddInt32(key, -1);
    EXPECT_THAT(Refusal(negative), HasSubstr(absl::StrCat("key ", key, ": value -1")));
  }
}

TEST(GgufCheckpointTest, M13_HeadsThatDoNotDivide) {
  EXPECT_THAT(Refusal(With("phi3.attention.head_count", 3)), HasSubstr("divisor of embedding"));
  GgufWriter gguf = With("phi3.attention.head_count", 8);
  RemoveKey(gguf, "phi3.attention.head_count_kv");
  gguf.AddUint32("phi3.attention.head_count_kv", 3);
  EXPECT_THAT(Refusal(gguf), HasSubstr("value 3, expected a divisor of the 8 heads"));
  EXPECT_THAT(Refusal(With("phi3.attention.head_count_kv", 4)), HasSubstr("the 2 heads"));
}

TEST(GgufCheckpointTest, M13_RopeDimensions) {
  EXPECT_THAT(Refusal(With("phi3.rope.dimension_count", 6)), HasSubstr("the head's 4 elements"));
  EXPECT_THAT(Refusal(With("phi3.rope.dimension_count", 3)), HasSubstr("an even number"));
  EXPECT_THAT(Refusal(With("phi3.rope.dimension_count", 0)), HasSubstr("value 0"));
}

TEST(GgufCheckpointTest, M13_NumbersThatAreNone) {
  for (const char* name :
       {"attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.scaling.attn_factor"}) {
    const std::string key = absl::StrCat("phi3.", name);
    for (float value : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
      GgufWriter gguf = With(key, 1);
      RemoveKey(gguf, key);
      gguf.AddFloat32(key, value);
      EXPECT_THAT(Refusal(gguf), HasSubstr(absl::StrCat("key ", key, ": value "))) << value;
    }
  }
}

TEST(GgufCheckpointTest, M13_RopeScalingWeDoNotApply) {
  GgufWriter gguf = SmallGguf();
  gguf.AddString("phi3.rope.scaling.type", "yarn");
  EXPECT_THAT(Refusal(gguf), HasSubstr("value yarn, expected none, or longrope and its factors"));
}

TEST(GgufCheckpointTest, M13_LongRopeWithoutItsFactors) {
  GgufWriter gguf = SmallGguf();
  gguf.AddString("phi3.rope.scaling.type", "longrope");
  EXPECT_TRUE(Read(gguf).ok());
  gguf = WithoutLongFactors();
  gguf.AddString("phi3.rope.scaling.type", "longrope");
  EXPECT_THAT(Refusal(gguf), HasSubstr("phi3.rope.scaling.type: value longrope, expected none"));
}

TEST(GgufCheckpointTest, M13_LinearRopeScalingWithoutAType) {
  for (const char* key : {"phi3.rope.scaling.factor", "phi3.rope.scale_linear"}) {
    for (float factor : {4.0f, 0.25f}) {
      GgufWriter gguf = WithoutLongFactors();
      gguf.AddFloat32(key, factor);
      EXPECT_EQ(Refusal(gguf),
                absl::StrCat("key ", key, ": value ", factor, ", expected 1, no linear scaling"));
      gguf.AddString("phi3.rope.scaling.type", "none");
      EXPECT_TRUE(Read(gguf).ok()) << Read(gguf).status();
      GgufWriter longrope = SmallGguf();
      longrope.AddFloat32(key, factor);
      EXPECT_TRUE(Read(longrope).ok()) << Read(longrope).status();
    }
    for (float none : {0.0f, 1.0f}) {
      GgufWriter gguf = WithoutLongFactors();
      gguf.AddFloat32(key, none);
      EXPECT_TRUE(Read(gguf).ok()) << Read(gguf).status();
    }
    GgufWriter nan = WithoutLongFactors();
    nan.AddFloat32(key, std::nanf(""));
    EXPECT_THAT(Refusal(nan), HasSubstr(absl::StrCat("key ", key, ": value nan")));
  }
}

TEST(GgufCheckpointTest, M13_VocabularyAndRowsDisagree) {
  GgufWriter gguf = SmallGguf();
  gguf.tensors.clear();
  gguf.AddTensor("token_embd.weight", {5, 8}, DType::kF32);
  EXPECT_EQ(Refusal(gguf),
            "tensor token_embd.weight: 5 rows, expected 4, one per token of the vocabulary");
}

TEST(GgufCheckpointTest, M13_AModelMayLackAVocabulary) {
  GgufWriter gguf = SmallGguf();
  const std::vector<GgufWriter::Entry> entries = gguf.metadata;
  for (const auto& entry : entries) {
    if (absl::string_view(entry.key).substr(0, 10) == "tokenizer.") RemoveKey(gguf, entry.key);
  }
  const auto checkpoint = Read(gguf);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE(checkpoint->vocabulary.tokens.empty());
  EXPECT_EQ(checkpoint->hparams.vocab, 4);
}

TEST(GgufCheckpointTest, M14_EmbeddingMissing) {
  GgufWriter gguf = SmallGguf();
  gguf.tensors[0].name = "token_embed.weight";
  EXPECT_EQ(Refusal(gguf), "tensor token_embd.weight is missing");
}

TEST(GgufCheckpointTest, M14_UnsupportedQuantisation) {
  GgufWriter gguf = SmallGguf();
  gguf.AddTensor("blk.0.ffn_up.weight", {2, 256}, DType::kF32);
  gguf.tensors.back().type = 11;
  gguf.tensors.back().bytes = 2 * 110;
  EXPECT_EQ(Refusal(gguf),
            "tensor blk.0.ffn_up.weight: unsupported type Q3_K, expected one of F32, F16, BF16, "
            "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K");
}

TEST(GgufCheckpointTest, ReadsTheVocabulary) {
  const auto checkpoint = Read(SmallGguf());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const Vocabulary& v = checkpoint->vocabulary;
  EXPECT_EQ(v.model, "gpt2");
  EXPECT_EQ(v.pre, "gpt-4o");
  EXPECT_THAT(v.tokens, ElementsAre("a", "b", "ab", "<|end|>"));
  EXPECT_EQ(v.types[3], TokenType::kControl);
  EXPECT_THAT(v.merges, ElementsAre("a b"));
  EXPECT_EQ(v.bos, 3);
  EXPECT_EQ(v.eos, 3);
  EXPECT_EQ(v.eot, -1);
  EXPECT_EQ(v.unknown, 3);
  EXPECT_EQ(v.add_bos, false);
  EXPECT_EQ(v.chat_template, "");
}

TEST(GgufCheckpointTest, BosIsAsTheFileSaysOrOpen) {
  GgufWriter gguf = Without("tokenizer.ggml.add_bos_token");
  EXPECT_EQ(Read(gguf)->vocabulary.add_bos, std::nullopt);
  gguf.AddBool("tokenizer.ggml.add_bos_token", true);
  EXPECT_EQ(Read(gguf)->vocabulary.add_bos, true);
  gguf.metadata.back().type = 4;
  gguf.metadata.back().payload.assign(4, '\0');
  EXPECT_THAT(Refusal(gguf), HasSubstr("type u32, expected bool"));
}

TEST(GgufCheckpointTest, M17_ArraysShorterThanTheTokens) {
  GgufWriter types = Without("tokenizer.ggml.token_type");
  types.AddInt32s("tokenizer.ggml.token_type", {1, 1, 1});
  EXPECT_EQ(Refusal(types), "key tokenizer.ggml.token_type: 3 elements, expected 4, one per token");
  GgufWriter scores = SmallGguf();
  scores.AddFloat32s("tokenizer.ggml.scores", {1, 1, 1, 1, 1});
  EXPECT_THAT(Refusal(scores),
              HasSubstr("key tokenizer.ggml.scores: 5 elements, expected at most 4"));
  GgufWriter many = Without("tokenizer.ggml.token_type");
  many.AddInt32s("tokenizer.ggml.token_type", std::vector<int32_t>(1 << 22, 1));
  EXPECT_THAT(Refusal(many),
              HasSubstr("key tokenizer.ggml.token_type: 4194304 elements, expected at most 4"));
  GgufWriter spm = Without("tokenizer.ggml.model");
  spm.AddString("tokenizer.ggml.model", "llama");
  EXPECT_EQ(Refusal(spm), "key tokenizer.ggml.scores: 0 elements, expected 4, one per token");
}

TEST(GgufCheckpointTest, M17_TokenTypesOutOfRange) {
  for (int32_t type : {0, 7, -1, std::numeric_limits<int32_t>::max()}) {
    GgufWriter gguf = Without("tokenizer.ggml.token_type");
    gguf.AddInt32s("tokenizer.ggml.token_type", {1, 1, type, 1});
    EXPECT_THAT(Refusal(gguf), HasSubstr(absl::StrCat("token 2 has type ", type, ", expected")));
  }
}

TEST(GgufCheckpointTest, M17_ScoresThatAreNone) {
  GgufWriter gguf = SmallGguf();
  gguf.AddFloat32s("tokenizer.ggml.scores", {0, std::nanf(""), 0, 0});
  EXPECT_THAT(Refusal(gguf), HasSubstr("token 1 has score nan"));
}

TEST(GgufCheckpointTest, M17_SpecialIdsBeyondTheVocabulary) {
  for (const char* name : {"bos", "eos", "eot", "unknown"}) {
    const std::string key = absl::StrCat("tokenizer.ggml.", name, "_token_id");
    for (uint32_t id : {4u, 0xffffffffu}) {
      EXPECT_THAT(Refusal(With(key, id)),
                  HasSubstr(absl::StrCat("key ", key, ": value ", id, ", expected 0..3")));
    }
    GgufWriter negative = With(key, 0);
    RemoveKey(negative, key);
    negative.AddInt32(key, -1);
    EXPECT_THAT(Refusal(negative), HasSubstr("value -1, expected 0..3"));
  }
}

TEST(GgufCheckpointTest, M17_TokenOfAMegabyte) {
  GgufWriter gguf = Without("tokenizer.ggml.tokens");
  gguf.AddStrings("tokenizer.ggml.tokens", {"a", "b", std::string(1 << 20, 'x'), "c"});
  EXPECT_THAT(Refusal(gguf), HasSubstr("element 2 of 1048576 bytes, expected at most 4096"));
}

TEST(GgufCheckpointTest, M17_NoTokens) {
  EXPECT_EQ(Refusal(Without("tokenizer.ggml.tokens")),
            "key tokenizer.ggml.tokens is missing or empty");
  EXPECT_EQ(Refusal(Without("tokenizer.ggml.model")), "key tokenizer.ggml.model is missing");
  GgufWriter numbers = Without("tokenizer.ggml.tokens");
  numbers.AddInt32s("tokenizer.ggml.tokens", {1, 2, 3, 4});
  EXPECT_THAT(Refusal(numbers), HasSubstr("type arr[i32,4], expected an array of str"));
}

TEST(GgufCheckpointTest, M17_TemplateTooLong) {
  GgufWriter gguf = SmallGguf();
  gguf.AddString("tokenizer.chat_template", std::string((1 << 20) + 1, 'x'));
  EXPECT_THAT(Refusal(gguf), HasSubstr("string of 1048577 bytes, expected at most 1048576"));
}

TEST(GgufCheckpointTest, ListsKeysAndTensorsInFileOrder) {
  GgufWriter writer = SmallGguf();
  const std::string bytes = writer.ZeroFile();
  const auto gguf = ParseGguf(bytes);
  ASSERT_TRUE(gguf.ok());
  const FileListing listing = ListGguf(*gguf);
  EXPECT_EQ(listing.format, "GGUF v3");
  ASSERT_EQ(listing.metadata.size(), writer.metadata.size());
  EXPECT_EQ(listing.metadata[0].key, "general.architecture");
  EXPECT_EQ(listing.metadata[0].type, "str");
  EXPECT_EQ(listing.metadata[0].value, "\"phi3\"");
  ASSERT_EQ(listing.tensors.size(), 5u);
  EXPECT_EQ(listing.tensors[0].name, "token_embd.weight");
  EXPECT_EQ(listing.tensors[0].type, "F32");
  EXPECT_THAT(listing.tensors[0].dims, ElementsAre(8, 4));
  EXPECT_EQ(listing.tensors[0].offset, writer.Header().size());
  EXPECT_EQ(listing.tensors[0].bytes, 128u);
}

}  // namespace
}  // namespace hearth
