#include "engine/tensor/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace hearth {

absl::StatusOr<Pages> Pages::Allocate(size_t bytes) {
  if (bytes == 0) return Pages();
  void* address =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes: ", std::strerror(errno)));
  }
  Pages pages(static_cast<std::byte*>(address), bytes);
  madvise(address, bytes, MADV_HUGEPAGE);  // advice: absent in some kernels, which is fine
  if (madvise(address, bytes, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make ", bytes, " bytes resident: ", std::strerror(errno)));
  }
  return pages;
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace hearth
