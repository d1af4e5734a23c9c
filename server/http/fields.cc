#include "server/http/fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr size_t kMaxLabelBytes = 512;
constexpr size_t kMaxLabels = 16;
constexpr size_t kMaxIgnoredNames = 16;
constexpr size_t kMaxIgnoredBytes = 64;

constexpr Field kFields[] = {
#define HEARTH_FIELD(name, treatment, neutral) {name, FieldTreatment::treatment, neutral},
#include "server/http/fields.inc"
#undef HEARTH_FIELD
};

const Field* FindField(std::string_view name) {
  const Field* row = std::find_if(std::begin(kFields), std::end(kFields),
                                  [name](const Field& field) { return field.name == name; });
  return row == std::end(kFields) ? nullptr : row;
}

bool IsLabel(const Json& value) {
  if (!value.is_string()) return false;
  const std::string& text = StringOf(value);
  return text.size() <= kMaxLabelBytes &&
         std::none_of(text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); });
}

bool AreLabels(const Json& value) {
  return value.is_object() && value.size() <= kMaxLabels &&
         std::all_of(value.begin(), value.end(), IsLabel);
}

bool IsNeutral(const Json& value, std::string_view neutral) {
  const absl::StatusOr<Json> values = ParseJson(neutral);
  HEARTH_CHECK(values.ok());
  return std::find(values->begin(), values->end(), value) != values->end();
}

absl::Status CheckNeutral(const Field& field, const Json& value) {
  if (IsNeutral(value, field.neutral)) return absl::OkStatus();
  const std::string list(field.neutral.substr(1, field.neutral.size() - 2));
  return InvalidParam(
      field.name,
      list.empty() ? "is not supported" : absl::StrCat("is not supported, except as ", list),
      "unsupported_parameter");
}

absl::Status CheckDialect(const Field& field, bool served_here) {
  if (served_here) return absl::OkStatus();
  return InvalidParam(field.name, "is not a field of this endpoint", "unsupported_parameter");
}

absl::Status CheckField(const Field& field, const Json& value, Dialect dialect) {
  switch (field.treatment) {
    case FieldTreatment::kServed:
      return absl::OkStatus();
    case FieldTreatment::kServedByChat:
      return CheckDialect(field, dialect == Dialect::kChat);
    case FieldTreatment::kServedByCompletions:
      return CheckDialect(field, dialect == Dialect::kCompletions);
    case FieldTreatment::kAcceptedLabel:
      if (IsLabel(value)) return absl::OkStatus();
      return InvalidParam(field.name,
                          "must be a string of at most 512 bytes without control characters");
    case FieldTreatment::kAcceptedLabels:
      if (AreLabels(value)) return absl::OkStatus();
      return InvalidParam(field.name, "must be an object of at most 16 strings of 512 bytes");
    case FieldTreatment::kAcceptedFlag:
      if (value.is_boolean()) return absl::OkStatus();
      return InvalidParam(field.name, "must be true or false");
    case FieldTreatment::kRefused:
      return CheckNeutral(field, value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Span<const Field> Fields() { return kFields; }

absl::StatusOr<std::vector<std::string>> CheckFields(const Json& body, Dialect dialect) {
  std::vector<std::string> ignored;
  for (const auto& [name, value] : body.items()) {
    const Field* field = FindField(name);
    if (field == nullptr) {
      ignored.push_back(name);
    } else if (!value.is_null()) {
      HEARTH_RETURN_IF_ERROR(CheckField(*field, value, dialect));
    }
  }
  return ignored;
}

std::string IgnoredHeader(const std::vector<std::string>& names) {
  const auto printable = [](std::string* out, const std::string& name) {
    for (char c : name.substr(0, kMaxIgnoredBytes)) {
      const bool plain = absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
      out->push_back(plain ? c : '?');
    }
  };
  const size_t shown = std::min(names.size(), kMaxIgnoredNames);
  return absl::StrJoin(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", ",
                       printable);
}

}  // namespace hearth::server
