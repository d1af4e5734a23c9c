// A cursor over bytes from a file; every read is checked against what is left.
#ifndef HEARTH_ENGINE_FORMATS_BYTE_READER_H_
#define HEARTH_ENGINE_FORMATS_BYTE_READER_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hearth {

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

// The T that lies, unaligned, at `bytes`.
template <typename T>
T LoadUnaligned(const char* bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

template <typename... Parts>
absl::Status ErrorAt(uint64_t offset, const Parts&... parts) {
  return absl::DataLossError(absl::StrCat("offset ", offset, ": ", parts...));
}

class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  // The next `count` bytes; `what` names them in the error.
  absl::StatusOr<absl::string_view> Take(uint64_t count, absl::string_view what) {
    if (count > remaining()) {
      return ErrorAt(offset_, what, " of ", count, " bytes, expected at most the ", remaining(),
                     " left in the file");
    }
    const absl::string_view taken = bytes_.substr(offset_, count);
    offset_ += count;
    return taken;
  }

  template <typename T>
  absl::StatusOr<T> Read(absl::string_view what) {
    absl::StatusOr<absl::string_view> taken = Take(sizeof(T), what);
    if (!taken.ok()) return std::move(taken).status();
    return LoadUnaligned<T>(taken->data());
  }

 private:
  const absl::string_view bytes_;
  uint64_t offset_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_BYTE_READER_H_
