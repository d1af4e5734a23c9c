#include "engine/tensor/pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/emulated.h"

namespace hearth {
namespace {

TEST(PagesTest, AreZeroedAlignedAndResident) {
  const size_t bytes = 3 << 20;
  auto pages = Pages::Allocate(bytes);
  ASSERT_TRUE(pages.ok()) << pages.status();
  EXPECT_EQ(pages->bytes(), bytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pages->data()) % 64, 0u);
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((bytes + page - 1) / page);
  ASSERT_EQ(mincore(pages->data(), bytes, resident.data()), 0);
  if (!kEmulated) {  // qemu drops MADV_POPULATE_WRITE
    EXPECT_TRUE(std::all_of(resident.begin(), resident.end(), [](auto r) { return r & 1; }));
  }
  EXPECT_TRUE(std::all_of(pages->data(), pages->data() + bytes,
                          [](std::byte b) { return b == std::byte{0}; }));
}

size_t ResidentPages(const Pages& pages) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((pages.bytes() + page - 1) / page);
  EXPECT_EQ(mincore(pages.data(), pages.bytes(), resident.data()), 0);
  return std::count_if(resident.begin(), resident.end(), [](auto r) { return r & 1; });
}

TEST(PagesTest, ReservedOnesBecomeResidentByParts) {
  if (kEmulated) GTEST_SKIP() << "qemu drops MADV_POPULATE_WRITE";
  const size_t huge = Pages::kHugePage;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto pages = Pages::Reserve(3 * huge + page + 1);
  ASSERT_TRUE(pages.ok()) << pages.status();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pages->data()) % huge, 0u);
  EXPECT_EQ(ResidentPages(*pages), 0u);
  ASSERT_TRUE(pages->Populate(huge, huge).ok());
  EXPECT_EQ(ResidentPages(*pages), huge / page);
  ASSERT_TRUE(pages->Populate(2 * huge, pages->bytes() - 2 * huge).ok());
  EXPECT_EQ(ResidentPages(*pages), 2 * huge / page + 2);
  pages->data()[pages->bytes() - 1] = std::byte{1};
}

TEST(PagesTest, MoveHandsOverTheMemory) {
  auto allocated = Pages::Allocate(4096);
  ASSERT_TRUE(allocated.ok());
  Pages a = *std::move(allocated);
  std::byte* const data = a.data();
  data[0] = std::byte{7};
  Pages b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.bytes(), 4096u);
  Pages c;
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(c.data()[0], std::byte{7});
}

TEST(PagesTest, NoBytesNeedNoMemory) {
  auto pages = Pages::Allocate(0);
  ASSERT_TRUE(pages.ok());
  EXPECT_EQ(pages->data(), nullptr);
  EXPECT_EQ(pages->bytes(), 0u);
}

TEST(PagesTest, WhatCannotBeHadIsResourceExhausted) {
  const size_t bytes = size_t{1} << 60;
  EXPECT_EQ(Pages::Allocate(bytes).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace hearth
