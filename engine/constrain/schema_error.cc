#include "engine/constrain/schema_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace hearth {
namespace {

constexpr char kPayload[] = "hearth/json-pointer";
constexpr size_t kMaxShown = 256;  // bytes of a pointer in a message

}  // namespace

absl::Status SchemaError(std::string_view pointer, std::string_view problem) {
  const std::string whole(pointer);
  std::string shown = whole.empty() ? "the schema" : whole;
  if (shown.size() > kMaxShown) {
    size_t end = kMaxShown;  // of a whole character
    while (end > 0 && (shown[end] & 0xC0) == 0x80) --end;
    shown = absl::StrCat(shown.substr(0, end), "...");
  }
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(shown, ": ", std::string(problem)));
  status.SetPayload(kPayload, absl::Cord(whole));
  return status;
}

std::optional<std::string> SchemaErrorPointer(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload) return std::nullopt;
  return std::string(*payload);
}

void AppendToken(std::string_view token, std::string& pointer) {
  pointer.push_back('/');
  for (const char c : token) {
    if (c == '~') {
      pointer.append("~0");
    } else if (c == '/') {
      pointer.append("~1");
    } else {
      pointer.push_back(c);
    }
  }
}

std::string PointerTo(std::string_view pointer, std::string_view token) {
  std::string result(pointer);
  AppendToken(token, result);
  return result;
}

}  // namespace hearth
