#include "tests/tools/requantize.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/formats/checkpoint.h"
#include "gtest/gtest.h"
#include "tests/tools/quantize.h"
#include "tests/tools/synthetic_model.h"

namespace hearth {
namespace {

std::vector<float> Values(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.cols()));
  const size_t row_bytes = RowBytes(tensor.dtype, tensor.cols());
  for (int64_t row = 0; row < tensor.rows(); ++row) {
    DecodeRow(tensor.dtype, tensor.data + row * row_bytes,
              absl::MakeSpan(values).subspan(row * tensor.cols(), tensor.cols()));
  }
  return values;
}

TEST(Requantize, ChangesTheTypeAndNothingElse) {
  const std::string from = testing::TempDir() + "/from.gguf";
  const std::string to = testing::TempDir() + "/to.gguf";
  SyntheticModelOptions model;
  model.type = DType::kQ8_0;
  ASSERT_TRUE(WriteSyntheticModel(model, from).ok());
  ASSERT_TRUE(Requantize(from, {DType::kF32, {}}, to).ok());
  const auto before = OpenCheckpoint(from);
  const auto after = OpenCheckpoint(to);
  ASSERT_TRUE(before.ok() && after.ok()) << before.status() << after.status();
  EXPECT_EQ(after->MainType(), DType::kF32);
  EXPECT_EQ(after->vocabulary.tokens, before->vocabulary.tokens);
  EXPECT_EQ(after->hparams.original_context, before->hparams.original_context);
  ASSERT_EQ(after->tensors.size(), before->tensors.size());
  for (const auto& [name, tensor] : before->tensors) {
    EXPECT_EQ(Values(after->tensors.at(name)), Values(tensor)) << name;
  }
}

TEST(Requantize, MovesTheRopeSwitch) {
  const std::string from = testing::TempDir() + "/whole.gguf";
  const std::string to = testing::TempDir() + "/switched.gguf";
  ASSERT_TRUE(WriteSyntheticModel({}, from).ok());
  ASSERT_TRUE(Requantize(from, {.type = DType::kF16, .original_context = 128}, to).ok());
  const auto after = OpenCheckpoint(to);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->hparams.original_context, 128);
  EXPECT_FLOAT_EQ(after->hparams.rope_attention_factor,
                  std::sqrt(1 + std::log(2048.0 / 128) / std::log(128.0)));
}

}  // namespace
}  // namespace hearth
