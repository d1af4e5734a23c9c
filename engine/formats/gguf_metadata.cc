#include "engine/formats/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/formats/byte_reader.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr size_t kDisplayElements = 8;
constexpr size_t kDisplayElementBytes = 64;
constexpr size_t kDisplayStringBytes = 4096;

absl::string_view ScalarName(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
      return "u8";
    case GgufType::kInt8:
      return "i8";
    case GgufType::kUint16:
      return "u16";
    case GgufType::kInt16:
      return "i16";
    case GgufType::kUint32:
      return "u32";
    case GgufType::kInt32:
      return "i32";
    case GgufType::kFloat32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "str";
    case GgufType::kArray:
      return "arr";
    case GgufType::kUint64:
      return "u64";
    case GgufType::kInt64:
      return "i64";
    case GgufType::kFloat64:
      return "f64";
  }
  return "?";
}

// A number of any integer type; u64 beyond i64 saturates, which is out of every range asked for.
std::optional<int64_t> AsInteger(GgufType type, const char* bytes) {
  switch (type) {
    case GgufType::kUint8:
      return LoadUnaligned<uint8_t>(bytes);
    case GgufType::kInt8:
      return LoadUnaligned<int8_t>(bytes);
    case GgufType::kUint16:
      return LoadUnaligned<uint16_t>(bytes);
    case GgufType::kInt16:
      return LoadUnaligned<int16_t>(bytes);
    case GgufType::kUint32:
      return LoadUnaligned<uint32_t>(bytes);
    case GgufType::kInt32:
      return LoadUnaligned<int32_t>(bytes);
    case GgufType::kInt64:
      return LoadUnaligned<int64_t>(bytes);
    case GgufType::kUint64:
      return static_cast<int64_t>(
          std::min<uint64_t>(LoadUnaligned<uint64_t>(bytes), std::numeric_limits<int64_t>::max()));
    default:
      return std::nullopt;
  }
}

std::string DisplayString(absl::string_view text, size_t limit) {
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text.substr(0, limit)),
                      text.size() > limit ? "...\"" : "\"");
}

std::string DisplayScalar(GgufType type, const char* bytes) {
  switch (type) {
    case GgufType::kFloat32:
      return absl::StrCat(LoadUnaligned<float>(bytes));
    case GgufType::kFloat64:
      return absl::StrCat(LoadUnaligned<double>(bytes));
    case GgufType::kBool:
      return *bytes ? "true" : "false";
    case GgufType::kUint64:
      return absl::StrCat(LoadUnaligned<uint64_t>(bytes));
    default:
      return absl::StrCat(AsInteger(type, bytes).value_or(0));
  }
}

// Takes the first string off an array's elements, which the parser has checked.
absl::string_view TakeString(absl::string_view* elements) {
  const uint64_t length = LoadUnaligned<uint64_t>(elements->data());
  const absl::string_view text = elements->substr(sizeof(length), length);
  elements->remove_prefix(sizeof(length) + length);
  return text;
}

absl::Status WrongType(absl::string_view key, const GgufValue& value, absl::string_view expected) {
  return ErrorAt(value.offset, "key ", Printable(key), ": type ", TypeName(value), ", expected ",
                 expected);
}

absl::Status Missing(absl::string_view key) {
  return absl::DataLossError(absl::StrCat("key ", Printable(key), " is missing"));
}

absl::Status CheckCount(absl::string_view key, const GgufValue& array, size_t max_count) {
  if (array.count <= max_count) return absl::OkStatus();
  return ErrorAt(array.offset, "key ", Printable(key), ": ", array.count,
                 " elements, expected at most ", max_count);
}

// The elements of an array whose element type is `type` or `also`.
template <typename T>
absl::StatusOr<std::vector<T>> Elements(const GgufMetadata& metadata, absl::string_view key,
                                        size_t max_count, GgufType type, GgufType also) {
  const GgufValue* value = metadata.Find(key);
  if (value == nullptr) return std::vector<T>();
  if (value->type != GgufType::kArray || (value->element != type && value->element != also)) {
    return WrongType(key, *value, absl::StrCat("an array of ", ScalarName(type)));
  }
  HEARTH_RETURN_IF_ERROR(CheckCount(key, *value, max_count));
  std::vector<T> elements(value->count);
  if (value->count > 0) std::memcpy(elements.data(), value->bytes.data(), value->bytes.size());
  return elements;
}

}  // namespace

size_t SizeOf(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

std::string TypeName(const GgufValue& value) {
  if (value.type != GgufType::kArray) return std::string(ScalarName(value.type));
  return absl::StrCat("arr[", ScalarName(value.element), ",", value.count, "]");
}

std::string Display(const GgufValue& value) {
  if (value.type == GgufType::kString) return DisplayString(value.bytes, kDisplayStringBytes);
  if (value.type != GgufType::kArray) return DisplayScalar(value.type, value.bytes.data());
  std::string text = "[";
  absl::string_view rest = value.bytes;
  for (uint64_t i = 0; i < std::min<uint64_t>(value.count, kDisplayElements); ++i) {
    if (i > 0) text += ", ";
    if (value.element == GgufType::kString) {
      text += DisplayString(TakeString(&rest), kDisplayElementBytes);
    } else {
      text += DisplayScalar(value.element, rest.data());
      rest.remove_prefix(SizeOf(value.element));
    }
  }
  return text + (value.count > kDisplayElements ? ", ...]" : "]");
}

std::string Printable(absl::string_view name) {
  constexpr size_t kLimit = 64;
  return absl::StrCat(absl::CHexEscape(name.substr(0, kLimit)), name.size() > kLimit ? "..." : "");
}

bool GgufMetadata::Insert(absl::string_view key, const GgufValue& value) {
  if (!index_.emplace(key, entries_.size()).second) return false;
  entries_.push_back({key, value});
  return true;
}

const GgufValue* GgufMetadata::Find(absl::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].value;
}

absl::StatusOr<int32_t> GgufMetadata::Integer(absl::string_view key, int32_t min, int32_t max,
                                              std::optional<int32_t> fallback) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return fallback ? absl::StatusOr<int32_t>(*fallback) : Missing(key);
  const std::optional<int64_t> integer = AsInteger(value->type, value->bytes.data());
  if (!integer) return WrongType(key, *value, "an integer");
  if (*integer < min || *integer > max) {
    return ErrorAt(value->offset, "key ", Printable(key), ": value ", Display(*value),
                   ", expected ", min, "..", max);
  }
  return static_cast<int32_t>(*integer);
}

absl::StatusOr<double> GgufMetadata::Number(absl::string_view key, double min, double max,
                                            std::optional<double> fallback) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return fallback ? absl::StatusOr<double>(*fallback) : Missing(key);
  double number = 0;
  if (value->type == GgufType::kFloat32) {
    number = LoadUnaligned<float>(value->bytes.data());
  } else if (value->type == GgufType::kFloat64) {
    number = LoadUnaligned<double>(value->bytes.data());
  } else {
    return WrongType(key, *value, "f32");
  }
  if (!(number >= min && number <= max)) {  // NaN too
    return ErrorAt(value->offset, "key ", Printable(key), ": value ", number, ", expected ", min,
                   "..", max);
  }
  return number;
}

absl::StatusOr<bool> GgufMetadata::Bool(absl::string_view key, bool fallback) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return fallback;
  if (value->type != GgufType::kBool) return WrongType(key, *value, "bool");
  return value->bytes[0] != 0;
}

absl::StatusOr<std::string> GgufMetadata::String(absl::string_view key, size_t max_bytes,
                                                 std::optional<std::string> fallback) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) {
    return fallback ? absl::StatusOr<std::string>(*std::move(fallback)) : Missing(key);
  }
  if (value->type != GgufType::kString) return WrongType(key, *value, "str");
  if (value->bytes.size() > max_bytes) {
    return ErrorAt(value->offset, "key ", Printable(key), ": string of ", value->bytes.size(),
                   " bytes, expected at most ", max_bytes);
  }
  return std::string(value->bytes);
}

absl::StatusOr<std::vector<std::string>> GgufMetadata::Strings(absl::string_view key,
                                                               size_t max_count,
                                                               size_t max_bytes) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::vector<std::string>();
  if (value->type != GgufType::kArray || value->element != GgufType::kString) {
    return WrongType(key, *value, "an array of str");
  }
  HEARTH_RETURN_IF_ERROR(CheckCount(key, *value, max_count));
  std::vector<std::string> strings;
  strings.reserve(value->count);  // the parser saw that the file holds as many
  absl::string_view rest = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    const absl::string_view text = TakeString(&rest);
    if (text.size() > max_bytes) {
      return ErrorAt(value->offset, "key ", Printable(key), ": element ", i, " of ", text.size(),
                     " bytes, expected at most ", max_bytes);
    }
    strings.emplace_back(text);
  }
  return strings;
}

absl::StatusOr<std::vector<int32_t>> GgufMetadata::Int32s(absl::string_view key,
                                                          size_t max_count) const {
  return Elements<int32_t>(*this, key, max_count, GgufType::kInt32, GgufType::kUint32);
}

absl::StatusOr<std::vector<float>> GgufMetadata::Floats(absl::string_view key,
                                                        size_t max_count) const {
  return Elements<float>(*this, key, max_count, GgufType::kFloat32, GgufType::kFloat32);
}

}  // namespace hearth
