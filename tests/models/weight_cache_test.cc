#include "engine/models/weight_cache.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/mix.h"
#include "engine/models/weight_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kKey = 0x1234567890abcdef;

std::vector<std::byte> Weights(size_t bytes, uint64_t seed = 1) {
  std::vector<std::byte> weights(bytes);
  for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
    const uint64_t word = Mix(seed + at);
    std::memcpy(&weights[at], &word, sizeof(word));
  }
  return weights;
}

class WeightCacheTest : public testing::Test {
 protected:
  WeightCacheTest()
      : folder_(testing::TempDir() + absl::StrCat("weight-cache-", getpid())),
        path_(folder_ + "/packed-weights") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    ops::WorkersOptions options;
    options.threads = 2;
    workers_ = *ops::Workers::Create(options);
  }
  ~WeightCacheTest() override { std::filesystem::remove_all(folder_); }

  WeightCache::Log Log() {
    return [this](absl::LogSeverity severity, const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_.push_back(absl::StrCat(severity == absl::LogSeverity::kInfo ? "I " : "W ", line));
      logged_.notify_all();
    };
  }

  // What has been logged since the last call.
  std::vector<std::string> TakeLog() {
    const std::lock_guard lock(mutex_);
    return std::exchange(log_, {});
  }

  // Saves, and returns the line that says how it ended.
  std::string Save(const std::vector<std::byte>& weights, uint64_t key = kKey) {
    WeightCache cache(folder_, Log());
    cache.Save(key, weights);
    std::unique_lock lock(mutex_);
    logged_.wait(lock, [this] { return !log_.empty(); });
    return std::exchange(log_, {})[0];
  }

  // Whether `weights` come back.
  bool Load(const std::vector<std::byte>& weights, uint64_t key = kKey) {
    WeightCache cache(folder_, Log());
    std::vector<std::byte> found(weights.size());
    const bool loaded = cache.Load(*workers_, key, absl::MakeSpan(found));
    EXPECT_EQ(cache.loaded(), loaded);
    EXPECT_TRUE(!loaded || found == weights);
    return loaded;
  }

  std::vector<char> File() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void WriteFile(const std::vector<char>& bytes) const {
    std::ofstream(path_, std::ios::binary).write(bytes.data(), bytes.size());
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  const std::string folder_;
  const std::string path_;
  std::unique_ptr<ops::Workers> workers_;
  std::mutex mutex_;
  std::condition_variable logged_;
  std::vector<std::string> log_;
};

TEST_F(WeightCacheTest, WhatIsSavedComesBack) {
  for (const size_t bytes : {size_t{64}, kWeightChunk, 20 * kWeightChunk + 192}) {
    const std::vector<std::byte> weights = Weights(bytes);
    EXPECT_THAT(Save(weights), HasSubstr("I " + path_ + ": written, "));
    EXPECT_THAT(Files(), ElementsAre("packed-weights"));
    struct stat info;
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u);
    EXPECT_TRUE(Load(weights));
    EXPECT_THAT(TakeLog(), IsEmpty());
  }
}

TEST_F(WeightCacheTest, NoFileIsNoNews) {
  EXPECT_FALSE(Load(Weights(100)));
  std::filesystem::remove_all(folder_);
  EXPECT_FALSE(Load(Weights(100)));
  EXPECT_THAT(TakeLog(), IsEmpty());
  EXPECT_THAT(Save(Weights(100)), HasSubstr("written")) << "the last folder is made";
  EXPECT_TRUE(Load(Weights(100)));
}

TEST_F(WeightCacheTest, OtherWeightsAreNewsButNoWarning) {
  const std::vector<std::byte> weights = Weights(2 * kWeightChunk);
  Save(weights);
  EXPECT_FALSE(Load(weights, kKey + 1));
  EXPECT_FALSE(Load(Weights(kWeightChunk), kKey));
  const std::string line =
      "I " + path_ + ": was made of another model file; the model file is packed instead";
  EXPECT_THAT(TakeLog(), ElementsAre(line, line));
  const std::vector<std::byte> others = Weights(kWeightChunk, 2);
  Save(others, kKey + 1);
  EXPECT_TRUE(Load(others, kKey + 1));
  EXPECT_FALSE(Load(weights));
}

TEST_F(WeightCacheTest, OtherVersionsAreRefused) {
  const std::vector<std::byte> weights = Weights(1000);
  Save(weights);
  const std::vector<char> good = File();
  for (const size_t at : {8, 12}) {
    std::vector<char> file = good;
    ++file[at];
    WriteFile(file);
    EXPECT_FALSE(Load(weights));
    EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr("of packed weights, expected ")));
  }
}

// A bit anywhere, in every part of the file again and again.
TEST_F(WeightCacheTest, F9_AFlippedBitIsSeen) {
  const std::vector<std::byte> weights = Weights(2 * kWeightChunk + 640);
  Save(weights);
  const std::vector<char> good = File();
  const size_t header = WeightHeaderBytes(weights.size());
  const size_t parts[] = {0,
                          8,
                          12,
                          16,
                          24,
                          32,
                          40,
                          64,
                          header,
                          header + kWeightChunk,
                          header + 2 * kWeightChunk,
                          good.size()};
  std::mt19937 rng(3);
  for (size_t i = 0; i + 1 < std::size(parts); ++i) {
    for (int times = 0; times < 4; ++times) {
      std::vector<char> file = good;
      const size_t at = parts[i] + rng() % (parts[i + 1] - parts[i]);
      file[at] = static_cast<char>(file[at] ^ 1 << rng() % 8);
      WriteFile(file);
      EXPECT_FALSE(Load(weights)) << at;
      EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr(path_ + ": "))) << at;
    }
  }
  Save(weights);
  EXPECT_TRUE(Load(weights)) << "a bad file is replaced";
}

TEST_F(WeightCacheTest, F25_ATornFileIsSeen) {
  const std::vector<std::byte> weights = Weights(kWeightChunk + 100);
  Save(weights);
  const std::vector<char> good = File();
  const size_t header = WeightHeaderBytes(weights.size());
  for (const size_t size : {size_t{0}, size_t{1}, size_t{39}, header - 1, header, header + 1,
                            header + kWeightChunk, good.size() - 1, good.size() + 1}) {
    std::vector<char> file = good;
    file.resize(size);
    WriteFile(file);
    EXPECT_FALSE(Load(weights)) << size;
    EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr(absl::StrCat(size, " bytes, expected "))));
  }
  // Blocks that never reached the disk.
  for (size_t at = 0; at + 4096 <= good.size(); at += 4096 * 16) {
    std::vector<char> file = good;
    std::fill_n(file.begin() + at, 4096, '\0');
    WriteFile(file);
    EXPECT_FALSE(Load(weights)) << at;
  }
}

TEST_F(WeightCacheTest, WhatOthersCouldHaveWrittenIsRefused) {
  const std::vector<std::byte> weights = Weights(1000);
  Save(weights);
  for (const mode_t mode : {0620, 0602}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    EXPECT_FALSE(Load(weights));
    EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr("expected none for others to write")));
  }
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_TRUE(Load(weights)) << "reading is harmless";
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files to others";
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_FALSE(Load(weights));
  EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr("belongs to user 12345, expected 0 or 0")));
}

TEST_F(WeightCacheTest, WhatIsNoFileIsRefusedAndLeft) {
  const std::vector<std::byte> weights = Weights(1000);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(Load(weights)) << "and nothing waits for its writer";
  EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr("is a FIFO")));
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_FALSE(Load(weights));
  EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr("is a directory")));
  EXPECT_THAT(Save(weights), HasSubstr("W no packed weights for the next start: "));
  EXPECT_THAT(Files(), ElementsAre("packed-weights"));
}

// Directories that cannot be written, by what they are or who asks.
TEST_F(WeightCacheTest, C11_F7_ADirectoryThatCannotBeWrittenIsAWarning) {
  const std::vector<std::byte> weights = Weights(1000);
  WriteFile({'x'});
  WeightCache in_a_file(path_, Log());
  in_a_file.Save(kKey, weights);
  WeightCache nowhere(folder_ + "/a/b", Log());
  nowhere.Save(kKey, weights);
  {
    std::unique_lock lock(mutex_);
    logged_.wait(lock, [this] { return log_.size() == 2; });
  }
  for (const std::string& line : TakeLog()) {
    EXPECT_THAT(line, HasSubstr("W no packed weights for the next start: " + folder_));
  }
  EXPECT_TRUE(in_a_file.failed() && nowhere.failed());
  ASSERT_EQ(chmod(folder_.c_str(), 0500), 0);
  const uid_t user = geteuid();
  constexpr uid_t kNobody = 65534;
  if (user == 0) {  // who may write everywhere
    ASSERT_EQ(chown(folder_.c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const std::string line = Save(weights);
  ASSERT_EQ(seteuid(user), 0);
  EXPECT_THAT(line, HasSubstr("Permission denied"));
}

TEST_F(WeightCacheTest, F7_NoSpaceIsAWarningBeforeAnythingIsWrittenOrRemoved) {
  const size_t vast = size_t{1} << 46;  // of addresses only
  void* address = mmap(nullptr, vast, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) GTEST_SKIP() << "not so many addresses";
  const std::vector<std::byte> weights = Weights(1000);
  Save(weights);
  {
    WeightCache cache(folder_, Log());
    cache.Save(kKey, {static_cast<const std::byte*>(address), vast});
    std::unique_lock lock(mutex_);
    logged_.wait(lock, [this] { return !log_.empty(); });
  }
  EXPECT_THAT(TakeLog(), ElementsAre(HasSubstr(" bytes are free, ")));
  EXPECT_THAT(Files(), ElementsAre("packed-weights"));
  EXPECT_TRUE(Load(weights));
  munmap(address, vast);
}

TEST_F(WeightCacheTest, NothingIsWrittenIntoMemory) {
  struct statfs system;
  if (statfs("/dev/shm", &system) != 0 || system.f_type != TMPFS_MAGIC) {
    GTEST_SKIP() << "no tmpfs at /dev/shm";
  }
  const std::string directory = absl::StrCat("/dev/shm/weight-cache-", getpid());
  WeightCache cache(directory, Log());
  const std::vector<std::byte> weights = Weights(1000);
  cache.Save(kKey, weights);
  {
    std::unique_lock lock(mutex_);
    logged_.wait(lock, [this] { return !log_.empty(); });
  }
  EXPECT_THAT(TakeLog(), ElementsAre("I no packed weights for the next start: " + directory +
                                     ": lies in memory"));
  EXPECT_FALSE(cache.failed());
  EXPECT_EQ(rmdir(directory.c_str()), 0) << "nothing is left in it";
}

// Writing fails in the middle, and the signal of it does not end the process.
TEST_F(WeightCacheTest, F7_AFailedWriteLeavesNothing) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 3 * kWeightChunk, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string line = Save(Weights(30 * kWeightChunk));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(line, HasSubstr("File too large"));
  EXPECT_THAT(Files(), IsEmpty());
}

// Whenever it comes, and whatever another daemon sees meanwhile.
TEST_F(WeightCacheTest, TheEndOfTheDaemonLeavesAllOrNothing) {
  const std::vector<std::byte> weights = Weights(64 * kWeightChunk);
  for (const int milliseconds : {0, 1, 30, 100}) {
    {
      WeightCache cache(folder_, Log());
      cache.Save(kKey, weights);
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      Load(weights);
      EXPECT_FALSE(cache.failed());
    }
    EXPECT_THAT(Files(), ::testing::Not(::testing::Contains("packed-weights.unfinished")));
    for (const std::string& line : TakeLog()) EXPECT_THAT(line, HasSubstr("written"));
  }
}

TEST_F(WeightCacheTest, F1_WhatAKilledDaemonLeftIsCleanedUp) {
  const std::vector<std::byte> weights(64 * kWeightChunk);
  const std::string unfinished = path_ + ".unfinished";
  const pid_t child = fork();
  if (child == 0) {
    WeightCache cache(folder_, [](absl::LogSeverity, const std::string&) {});
    cache.Save(kKey, weights);
    while (true) pause();
  }
  while (!std::filesystem::exists(unfinished)) std::this_thread::yield();
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(Files(), ElementsAre("packed-weights.unfinished"));
  EXPECT_FALSE(Load(Weights(1000)));
  EXPECT_THAT(Save(Weights(1000)), HasSubstr("written"));
  EXPECT_THAT(Files(), ElementsAre("packed-weights"));
}

TEST_F(WeightCacheTest, OneDaemonWritesAtATime) {
  const std::vector<std::byte> weights = Weights(1000);
  Save(weights);
  const int other = open(folder_.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  EXPECT_THAT(Save(Weights(2000)), HasSubstr("I no packed weights for the next start: "));
  EXPECT_TRUE(Load(weights)) << "what is there stays";
  close(other);
  EXPECT_THAT(Save(Weights(2000)), HasSubstr("written"));
}

}  // namespace
}  // namespace hearth
