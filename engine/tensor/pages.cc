#include "engine/tensor/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth {

namespace {

// Maps more than is wanted and gives back what lies outside an aligned part.
void* MapAligned(size_t bytes, size_t alignment) {
  if (bytes > SIZE_MAX - alignment) return MAP_FAILED;
  const size_t whole = bytes + alignment;
  void* mapped = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return mapped;
  auto* begin = static_cast<std::byte*>(mapped);
  const size_t before = -reinterpret_cast<uintptr_t>(begin) % alignment;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t used = before + (bytes + page - 1) / page * page;
  if (before > 0) munmap(begin, before);
  if (used < whole) munmap(begin + used, whole - used);
  return begin + before;
}

}  // namespace

absl::StatusOr<Pages> Pages::Reserve(size_t bytes) {
  if (bytes == 0) return Pages();
  void* address = bytes >= kHugePage ? MapAligned(bytes, kHugePage)
                                     : mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes: ", std::strerror(errno)));
  }
  madvise(address, bytes, MADV_HUGEPAGE);  // advice: absent in some kernels, which is fine
  return Pages(static_cast<std::byte*>(address), bytes);
}

absl::Status Pages::Populate(size_t begin, size_t bytes) {
  if (madvise(data_ + begin, bytes, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make ", bytes, " bytes resident: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Pages> Pages::Allocate(size_t bytes) {
  HEARTH_ASSIGN_OR_RETURN(Pages pages, Reserve(bytes));
  HEARTH_RETURN_IF_ERROR(pages.Populate(0, bytes));
  return pages;
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace hearth
