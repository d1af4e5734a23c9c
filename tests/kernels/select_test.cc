#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "engine/kernels/declarations.h"

namespace hearth::kernels {
namespace {

using testing::HasSubstr;

class SelectTest : public testing::Test {
 protected:
  void SetUp() override { unsetenv("HEARTH_ISA"); }
  void TearDown() override { unsetenv("HEARTH_ISA"); }
};

TEST_F(SelectTest, ScalarIsAlwaysThereAndLowest) {
  EXPECT_EQ(SupportedIsas().front(), "scalar");
  const absl::StatusOr<Table> table = Select("scalar");
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->isa, "scalar");
#define KERNEL(op, isa) EXPECT_EQ(table->op, &scalar::op);
#include "engine/kernels/kernels.inc"
}

TEST_F(SelectTest, EveryOpIsFilledForEveryIsa) {
  for (std::string_view name : SupportedIsas()) {
    const absl::StatusOr<Table> table = Select(name);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_EQ(table->isa, name);
#define KERNEL(op, isa) EXPECT_NE(table->op, nullptr) << name << " " << #op;
#include "engine/kernels/kernels.inc"
  }
}

// The rows are best first: a set that supports everything takes the first row of each op.
TEST_F(SelectTest, BestSetTakesItsOwnKernels) {
  const absl::StatusOr<Table> best = Select("");
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(best->isa, SupportedIsas().back());
  const std::string_view name = best->isa;
#define KERNEL(op, isa)                   \
  if (name == #isa) {                     \
    EXPECT_EQ(best->op, &isa::op) << #op; \
  }
#include "engine/kernels/kernels.inc"
}

TEST_F(SelectTest, NamingASetLeavesOutTheKernelsOfThoseAboveIt) {
  std::vector<std::string_view> order;
#define ISA(name, supported) order.push_back(#name);
#include "engine/kernels/kernels.inc"
  const auto rank = [&order](std::string_view name) {
    return std::find(order.begin(), order.end(), name) - order.begin();
  };
  for (std::string_view name : SupportedIsas()) {
    const absl::StatusOr<Table> table = Select(name);
    ASSERT_TRUE(table.ok()) << table.status();
#define KERNEL(op, isa)                                   \
  if (rank(#isa) > rank(name)) {                          \
    EXPECT_NE(table->op, &isa::op) << name << " " << #op; \
  }
#include "engine/kernels/kernels.inc"
  }
}

TEST_F(SelectTest, EnvironmentNamesTheDefault) {
  setenv("HEARTH_ISA", "scalar", 1);
  EXPECT_EQ(Select("")->isa, "scalar");
  EXPECT_EQ(Select(SupportedIsas().back())->isa, SupportedIsas().back());  // an argument goes first
  setenv("HEARTH_ISA", "", 1);
  EXPECT_EQ(Select("")->isa, SupportedIsas().back());
}

TEST_F(SelectTest, UnknownNameIsRefusedWithTheSupportedOnes) {
  const absl::Status status = Select("sse9").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("sse9"));
  for (std::string_view name : SupportedIsas()) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(name)));
  }
  setenv("HEARTH_ISA", "AVX2 ", 1);
  EXPECT_FALSE(Select("").ok());
}

}  // namespace
}  // namespace hearth::kernels
