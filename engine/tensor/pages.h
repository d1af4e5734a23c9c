// Page-aligned anonymous memory, owned. What the memory plan counts is made of these.
#ifndef HEARTH_ENGINE_TENSOR_PAGES_H_
#define HEARTH_ENGINE_TENSOR_PAGES_H_

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace hearth {

class Pages {
 public:
  // Zeroed, resident memory (populated at once, so that it cannot run out later), in huge pages
  // where the kernel grants them. ResourceExhausted when it cannot be had.
  static absl::StatusOr<Pages> Allocate(size_t bytes);
  // Likewise, but resident only where Populate, or a write, makes it so.
  static absl::StatusOr<Pages> Reserve(size_t bytes);

  // Makes [begin, begin + bytes) resident. Safe from several threads at once, for parts whose edges
  // are multiples of kHugePage. REQUIRES: it lies within.
  absl::Status Populate(size_t begin, size_t bytes);

  static constexpr size_t kHugePage = size_t{2} << 20;

  Pages() = default;
  Pages(Pages&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages();

  // Aligned to a page, and to a huge one where there are as many bytes; null when empty.
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Pages(std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}

  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_PAGES_H_
