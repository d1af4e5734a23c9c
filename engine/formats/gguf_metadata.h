// The key-value part of a GGUF file. Values stay where they lie in the file and are decoded, with
// their type and range checked, when a reader asks for them.
#ifndef HEARTH_ENGINE_FORMATS_GGUF_METADATA_H_
#define HEARTH_ENGINE_FORMATS_GGUF_METADATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hearth {

// Numbering of the GGUF specification.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Bytes of a value in the file; 0 for strings, arrays and unknown types.
size_t SizeOf(GgufType type);

// Checked by the parser: `bytes` holds exactly what `type` and `count` say.
struct GgufValue {
  GgufType type = GgufType::kUint8;
  GgufType element = GgufType::kUint8;  // arrays: what they hold, never arrays
  uint64_t count = 1;                   // arrays: elements
  absl::string_view
      bytes;            // a number's bytes, a string's characters, an array's elements as stored
  uint64_t offset = 0;  // of `bytes` in the file
};

std::string TypeName(const GgufValue& value);  // "u32", "str", "arr[i32,512]"
// The value as text on one line; abbreviated after 8 elements of an array and in long strings.
std::string Display(const GgufValue& value);
// A name from a file made fit for a message: escaped, at most 64 bytes of it.
std::string Printable(absl::string_view name);

class GgufMetadata {
 public:
  struct Entry {
    absl::string_view key;
    GgufValue value;
  };

  // False, without effect, when the key is there already.
  bool Insert(absl::string_view key, const GgufValue& value);

  const std::vector<Entry>& entries() const { return entries_; }  // in file order
  const GgufValue* Find(absl::string_view key) const;             // null when absent

  // The value of a key. DataLoss when it has another type or lies outside [min, max]. Where the
  // key is absent: `fallback`, or DataLoss without one. Integers may have any width and sign.
  absl::StatusOr<int32_t> Integer(absl::string_view key, int32_t min, int32_t max,
                                  std::optional<int32_t> fallback = {}) const;
  absl::StatusOr<double> Number(absl::string_view key, double min, double max,
                                std::optional<double> fallback = {}) const;
  absl::StatusOr<bool> Bool(absl::string_view key, bool fallback) const;
  absl::StatusOr<std::string> String(absl::string_view key, size_t max_bytes,
                                     std::optional<std::string> fallback = {}) const;

  // Arrays; empty when the key is absent. DataLoss beyond max_count elements, before memory is
  // taken for them.
  absl::StatusOr<std::vector<std::string>> Strings(absl::string_view key, size_t max_count,
                                                   size_t max_bytes) const;
  absl::StatusOr<std::vector<int32_t>> Int32s(absl::string_view key, size_t max_count) const;
  absl::StatusOr<std::vector<float>> Floats(absl::string_view key, size_t max_count) const;

 private:
  std::vector<Entry> entries_;
  absl::flat_hash_map<absl::string_view, size_t> index_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_FORMATS_GGUF_METADATA_H_
