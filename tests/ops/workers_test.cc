#include "engine/ops/workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/emulated.h"
#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

TEST(Workers, RunsEveryIndexOnce) {
  for (int32_t threads : {1, 2, 3, 8}) {
    auto workers = MakeWorkers(threads);
    EXPECT_EQ(workers->threads(), threads);
    for (int32_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(count);
      workers->ParallelFor(count, [&](int32_t i) { ++runs[i]; });
      for (const std::atomic<int>& n : runs) EXPECT_EQ(n, 1);
    }
  }
}

TEST(Workers, NamesTheThread) {
  auto workers = MakeWorkers(4);
  std::atomic<bool> out_of_range = false;
  std::vector<std::atomic<int>> busy(4);
  workers->ParallelFor(2000, [&](int32_t, int32_t thread) {
    if (thread < 0 || thread >= 4 || ++busy[thread] != 1) out_of_range = true;
    --busy[thread];
  });
  EXPECT_FALSE(out_of_range);
}

// Many short jobs, so that threads come late to one and early to the next; under TSan this is
// where a job's fields would be seen to race. Plain (not atomic) results must be visible after.
TEST(Workers, ManyShortJobs) {
  auto workers = MakeWorkers(4);
  std::vector<int64_t> sums(16);
  int64_t expected = 0;
  for (int32_t job = 0; job < 20000; ++job) {
    const int32_t count = job % 17;
    workers->ParallelFor(count, [&sums, job](int32_t i) { sums[i] += job + i; });
    for (int32_t i = 0; i < count; ++i) expected += job + i;
    if (job % 4000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // to sleep
  }
  int64_t total = 0;
  for (int64_t sum : sums) total += sum;
  EXPECT_EQ(total, expected);
}

TEST(Workers, ComeAndGoWithoutWork) {
  for (int i = 0; i < 50; ++i) MakeWorkers(1 + i % 5);
}

using TaskPaths = std::set<std::filesystem::path>;

TaskPaths Tasks() {
  TaskPaths tasks;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    tasks.insert(task.path());
  }
  return tasks;
}

// How often threads of this process that are not in `others` have slept and woken.
int64_t Switches(const TaskPaths& others) {
  int64_t total = 0;
  for (const std::filesystem::path& task : Tasks()) {
    if (others.contains(task)) continue;
    std::ifstream status(task / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("voluntary_ctxt_switches:", 0) == 0) total += std::stoll(line.substr(24));
    }
  }
  return total;
}

TEST(Workers, IdleThreadsSleepAndStayAsleep) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer has a thread of its own, which wakes up";
#endif
  const TaskPaths others = Tasks();
  auto workers = MakeWorkers(3);
  EXPECT_EQ(Tasks().size(), others.size() + 2);
  workers->ParallelFor(100, [](int32_t) {});
  // Asleep once nothing changes for a while; on a busy machine that takes a few tries.
  int64_t before = -1;
  for (int i = 0; i < 50 && before != Switches(others); ++i) {
    before = Switches(others);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(Switches(others), before);
}

TEST(Workers, AllocateMemoryThatIsZeroedAndResident) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (const size_t bytes : {size_t{0}, size_t{1}, 100 * Pages::kHugePage + 3 * page + 1}) {
    const auto pages = (*Workers::Create({.threads = 3}))->Allocate(bytes);
    ASSERT_TRUE(pages.ok()) << pages.status();
    ASSERT_EQ(pages->bytes(), bytes);
    if (bytes == 0) continue;
    std::vector<unsigned char> resident((bytes + page - 1) / page);
    ASSERT_EQ(mincore(pages->data(), bytes, resident.data()), 0);
    if (!kEmulated) {  // qemu drops MADV_POPULATE_WRITE
      EXPECT_TRUE(std::all_of(resident.begin(), resident.end(), [](auto r) { return r & 1; }));
    }
    EXPECT_TRUE(std::all_of(pages->data(), pages->data() + bytes,
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Workers, PlansWhatTheOpsNeed) {
  WorkersOptions options;
  options.max_rows = 64;
  options.input_bytes = 64 * 1024;
  options.max_cols = 1024;
  auto workers = MakeWorkers(2, "", options);
  options.threads = 2;
  const size_t planned = Workers::PlannedBytes(options);
  EXPECT_GE(planned, 64u * 1024 + 2 * 4 * 1024);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(workers->scratch(planned)) % 64, 0u);
  options.heads = 24;
  options.kv_heads = 8;
  options.head_dim = 128;
  options.max_context = 8192;
  EXPECT_GT(Workers::PlannedBytes(options), planned);
}

TEST(WorkersDeathTest, ScratchBeyondThePlanIsABug) {
  auto workers = MakeWorkers(1);
  EXPECT_DEATH(workers->scratch(size_t{1} << 40), "check failed");
}

TEST(Workers, RefusesAnUnknownInstructionSet) {
  WorkersOptions options;
  options.isa = "mmx";
  const absl::Status status = Workers::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("scalar"));
}

}  // namespace
}  // namespace hearth::ops
