// Page-aligned anonymous memory, owned. What the memory plan counts is made of these.
#ifndef HEARTH_ENGINE_TENSOR_PAGES_H_
#define HEARTH_ENGINE_TENSOR_PAGES_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"

namespace hearth {

class Pages {
 public:
  // Zeroed, resident memory (populated at once, so that it cannot run out later), in huge pages
  // where the kernel grants them. ResourceExhausted when it cannot be had.
  static absl::StatusOr<Pages> Allocate(size_t bytes);

  Pages() = default;
  Pages(Pages&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages();

  std::byte* data() const { return data_; }  // aligned to at least 64 bytes; null when empty
  size_t bytes() const { return bytes_; }

 private:
  Pages(std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}

  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TENSOR_PAGES_H_
