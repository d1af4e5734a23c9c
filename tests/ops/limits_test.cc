#include "engine/ops/limits.h"

#include <gtest/gtest.h>

#include "tests/emulated.h"
#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

// That they measure something at all: how much is the machine's affair.
TEST(Limits, ArePositiveForAnyNumberOfThreads) {
  if (kEmulated) GTEST_SKIP() << "half a minute of an emulator's limits";
  for (int32_t threads : {1, 3}) {
    auto workers = MakeWorkers(threads);
    EXPECT_GT(MeasureInt8Products(*workers), 0);
    const absl::StatusOr<double> read = MeasureReadBandwidth(*workers);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_GT(*read, 0);
  }
}

}  // namespace
}  // namespace hearth::ops
