#include "engine/formats/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "tests/tools/small_gguf.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

TEST(MappedFileTest, MapsTheContent) {
  const std::string path = WriteTemporary("content", "hello");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->bytes(), "hello");
  std::remove(path.c_str());
  EXPECT_EQ((*file)->bytes(), "hello");  // the mapping outlives the name
}

TEST(MappedFileTest, AnEmptyFileHasNoBytes) {
  const std::string path = WriteTemporary("empty", "");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->bytes().empty());
  std::remove(path.c_str());
}

TEST(MappedFileTest, M1_MissingFile) {
  const absl::Status status = MappedFile::Open("/nonexistent/model.gguf").status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/model.gguf"));
}

TEST(MappedFileTest, M1_Directory) {
  const absl::Status status = MappedFile::Open("/tmp").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(status.message(), "/tmp: is a directory, expected a regular file");
}

TEST(MappedFileTest, M1_Device) {
  const absl::Status status = MappedFile::Open("/dev/zero").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a device"));
}

TEST(MappedFileTest, M1_FifoDoesNotBlock) {
  const std::string path = TemporaryPath("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const absl::Status status = MappedFile::Open(path).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a FIFO"));
  std::remove(path.c_str());
}

TEST(MappedFileTest, M1_NoPermission) {
  const std::string path = WriteTemporary("private", "secret");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  const uid_t user = geteuid();
  constexpr uid_t kNobody = 65534;
  if (user == 0) {  // who may read everything
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const absl::Status status = MappedFile::Open(path).status();
  ASSERT_EQ(seteuid(user), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  std::remove(path.c_str());
}

TEST(MappedFileTest, M1_PathThatIsNone) {
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(std::string("/tmp\0x", 6)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(std::string(5000, 'x')).status()));
}

TEST(MappedFileTest, M23_AReplacedFileIsNotSeen) {
  const std::string path = WriteTemporary("replaced", "first");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::rename(WriteTemporary("replacement", "other"), path);
  EXPECT_EQ((*file)->bytes(), "first");
  std::remove(path.c_str());
}

bool AnyResident(const char* begin, size_t bytes) {  // in this process, not in the page cache
  FILE* maps = std::fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false, resident = false;
  const uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long from, to, kilobytes;
    if (std::sscanf(line, "%lx-%lx", &from, &to) == 2) {
      inside = from < address + bytes && address < to;
    } else if (inside && std::sscanf(line, "Rss: %lu", &kilobytes) == 1) {
      resident = resident || kilobytes > 0;
    }
  }
  std::fclose(maps);
  return resident;
}

TEST(MappedFileTest, ReadsWithoutMakingPagesResident) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::string content(64 * page, 'x');
  content[5 * page + 7] = 'y';
  const std::string path = WriteTemporary("pages", content);
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  const absl::string_view bytes = (*file)->bytes();
  std::string copy(bytes.size() - 3, ' ');
  ASSERT_TRUE((*file)->Read(bytes.substr(3), copy.data()).ok());
  EXPECT_EQ(copy, content.substr(3));
  EXPECT_FALSE(AnyResident(bytes.data(), bytes.size()));
  EXPECT_EQ(bytes[5 * page + 7], 'y');
  EXPECT_TRUE(AnyResident(bytes.data(), bytes.size()));
  std::remove(path.c_str());
}

TEST(MappedFileTest, F8_AFileThatShrinksIsAnError) {
  const std::string path = WriteTemporary("shrinks", std::string(1 << 16, 'x'));
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path, 100);
  std::string copy(1 << 16, ' ');
  const absl::Status status = (*file)->Read((*file)->bytes(), copy.data());
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("offset 100: cannot be read"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace hearth
