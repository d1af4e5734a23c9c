#include "engine/tensor/dtype.h"

#include <gtest/gtest.h>

#include "engine/tensor/blocks.h"
#include "engine/tensor/tensor.h"

namespace hearth {
namespace {

TEST(DTypeTest, RowBytesFollowTheBlock) {
  EXPECT_EQ(RowBytes(DType::kF32, 3072), 12288u);
  EXPECT_EQ(RowBytes(DType::kF16, 172), 344u);
  EXPECT_EQ(RowBytes(DType::kBF16, 1), 2u);
  EXPECT_EQ(RowBytes(DType::kQ8_0, 3072), 96 * sizeof(BlockQ8_0));
  EXPECT_EQ(RowBytes(DType::kQ4_0, 32), sizeof(BlockQ4_0));
  EXPECT_EQ(RowBytes(DType::kQ4_0, int64_t{1} << 40), (size_t{1} << 35) * 18);  // beyond 32 bits
}

TEST(DTypeTest, NamesAreThoseOfGgufTools) {
  EXPECT_EQ(Traits(DType::kF32).name, "F32");
  EXPECT_EQ(Traits(DType::kF16).name, "F16");
  EXPECT_EQ(Traits(DType::kBF16).name, "BF16");
  EXPECT_EQ(Traits(DType::kQ8_0).name, "Q8_0");
  EXPECT_EQ(Traits(DType::kQ4_0).name, "Q4_0");
}

TEST(TensorTest, RowsAndColumns) {
  Tensor vector;
  vector.rank = 1;
  vector.dims = {64, 1, 1, 1};
  EXPECT_EQ(vector.rows(), 1);
  EXPECT_EQ(vector.cols(), 64);
  Tensor matrix;
  matrix.rank = 2;
  matrix.dims = {512, 64, 1, 1};
  EXPECT_EQ(matrix.rows(), 512);
  EXPECT_EQ(matrix.cols(), 64);
}

}  // namespace
}  // namespace hearth
