#include "engine/ops/cgroup.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <limits>

namespace hearth::ops {
namespace {

constexpr int32_t kNoLimit = std::numeric_limits<int32_t>::max();

// A directory that looks like /.
class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "cgroup_" +
            testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  std::string root_;
};

TEST_F(CgroupTest, NothingThereIsNoLimit) { EXPECT_EQ(CgroupCpus(root_), kNoLimit); }

TEST_F(CgroupTest, V2WithoutQuotaIsNoLimit) {
  Write("proc/self/cgroup", "0::/a.slice\n");
  Write("sys/fs/cgroup/a.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(CgroupCpus(root_), kNoLimit);
}

TEST_F(CgroupTest, V2QuotaIsRoundedDownButNotToNothing) {
  Write("proc/self/cgroup", "0::/a.slice\n");
  Write("sys/fs/cgroup/a.slice/cpu.max", "350000 100000\n");
  EXPECT_EQ(CgroupCpus(root_), 3);
  Write("sys/fs/cgroup/a.slice/cpu.max", "20000 100000\n");
  EXPECT_EQ(CgroupCpus(root_), 1);
}

TEST_F(CgroupTest, V2LeastOfTheAncestors) {
  Write("proc/self/cgroup", "0::/a.slice/b.service\n");
  Write("sys/fs/cgroup/a.slice/b.service/cpu.max", "800000 100000\n");
  Write("sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n");
  EXPECT_EQ(CgroupCpus(root_), 2);
}

TEST_F(CgroupTest, V2InANamespaceReadsTheMount) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(CgroupCpus(root_), 4);
}

TEST_F(CgroupTest, V1Quota) {
  Write("proc/self/cgroup", "9:memory:/m\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
  Write("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "150000\n");
  Write("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "50000\n");
  EXPECT_EQ(CgroupCpus(root_), 3);
  Write("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(CgroupCpus(root_), kNoLimit);
}

TEST_F(CgroupTest, NonsenseIsNoLimit) {
  Write("proc/self/cgroup", "\nx\n0::\n3:cpu\n::::\n0::/a\n");
  Write("sys/fs/cgroup/a/cpu.max", "many 0\n");
  Write("sys/fs/cgroup/cpu.max", "100000 0\n");
  EXPECT_EQ(CgroupCpus(root_), kNoLimit);
}

TEST_F(CgroupTest, MemoryIsTheLeastOfTheAncestors) {
  Write("proc/self/cgroup", "0::/a.slice/b.service\n");
  EXPECT_EQ(CgroupMemory(root_), std::numeric_limits<uint64_t>::max());
  Write("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
  EXPECT_EQ(CgroupMemory(root_), std::numeric_limits<uint64_t>::max());
  Write("sys/fs/cgroup/a.slice/memory.max", "4294967296\n");
  EXPECT_EQ(CgroupMemory(root_), uint64_t{4294967296});
}

TEST_F(CgroupTest, MemoryV1StatesNoLimitAsAHugeNumber) {
  Write("proc/self/cgroup", "9:memory:/m\n");
  Write("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(CgroupMemory(root_), std::numeric_limits<uint64_t>::max());
  Write("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(CgroupMemory(root_), uint64_t{1073741824});
}

TEST(AvailableCpus, IsWithinTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_LE(AvailableCpus(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(AvailableCpus(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace hearth::ops
