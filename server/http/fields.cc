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
constexpr size_t kMaxIgnoredNames = 16;  // more tell nobody anything
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

absl::Status CheckNeutral(const Field& field, const Json& value, const std::string& path) {
  if (IsNeutral(value, field.neutral)) return absl::OkStatus();
  const std::string list(field.neutral.substr(1, field.neutral.size() - 2));
  return InvalidParam(
      path, list.empty() ? "is not supported" : absl::StrCat("is not supported, except as ", list),
      "unsupported_parameter");
}

absl::Status CheckDialect(bool served_here, const std::string& path) {
  if (served_here) return absl::OkStatus();
  return InvalidParam(path, "is not a field of this endpoint", "unsupported_parameter");
}

absl::Status CheckField(const Field& field, const Json& value, Dialect dialect,
                        const std::string& path) {
  switch (field.treatment) {
    case FieldTreatment::kServed:
      return absl::OkStatus();
    case FieldTreatment::kServedByChat:
      return CheckDialect(dialect == Dialect::kChat, path);
    case FieldTreatment::kServedByCompletions:
      return CheckDialect(dialect == Dialect::kCompletions, path);
    case FieldTreatment::kAcceptedLabel:
      if (IsLabel(value)) return absl::OkStatus();
      return InvalidParam(path, "must be a string of at most 512 bytes without control characters");
    case FieldTreatment::kAcceptedLabels:
      if (AreLabels(value)) return absl::OkStatus();
      return InvalidParam(path, "must be an object of at most 16 strings of 512 bytes");
    case FieldTreatment::kAcceptedFlag:
      if (value.is_boolean()) return absl::OkStatus();
      return InvalidParam(path, "must be true or false");
    case FieldTreatment::kRefused:
      return CheckNeutral(field, value, path);
  }
  return absl::OkStatus();
}

bool IsTextPart(const Json& part) {
  const Json* type = part.is_object() ? FindMember(part, "type") : nullptr;
  return type != nullptr && type->is_string() && StringOf(*type) == "text";
}

// The walk over one document.
class FieldCheck {
 public:
  explicit FieldCheck(Dialect dialect) : dialect_(dialect) {}

  // The members of `object`, whose rows begin with `prefix` and whose paths begin with `path`.
  absl::Status Object(const Json& object, const std::string& prefix, const std::string& path) {
    for (const auto& [name, value] : object.items()) {
      const bool path_like = name.find_first_of(".[") != std::string::npos;
      const Field* field = path_like ? nullptr : FindField(prefix + name);
      if (field == nullptr) {
        if (ignored_.size() < kMaxIgnoredNames) ignored_.push_back(path + name);
      } else if (!value.is_null()) {
        HEARTH_RETURN_IF_ERROR(CheckField(*field, value, dialect_, path + name));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Message(const Json& message, const std::string& path) {
    if (!message.is_object()) return absl::OkStatus();
    HEARTH_RETURN_IF_ERROR(Object(message, "messages[].", path + "."));
    const Json* content = FindMember(message, "content");
    if (content == nullptr || !content->is_array()) return absl::OkStatus();
    for (size_t i = 0; i < content->size(); ++i) {
      const Json& part = (*content)[i];
      // Parts of other types are refused as a whole.
      if (!IsTextPart(part)) continue;
      HEARTH_RETURN_IF_ERROR(
          Object(part, "messages[].content[].", absl::StrCat(path, ".content[", i, "].")));
    }
    return absl::OkStatus();
  }

  std::vector<std::string> TakeIgnored() { return std::move(ignored_); }

 private:
  const Dialect dialect_;
  std::vector<std::string> ignored_;
};

}  // namespace

absl::Span<const Field> Fields() { return kFields; }

absl::StatusOr<std::vector<std::string>> CheckFields(const Json& body, Dialect dialect) {
  FieldCheck check(dialect);
  HEARTH_RETURN_IF_ERROR(check.Object(body, "", ""));
  const Json* options = FindMember(body, "stream_options");
  if (options != nullptr && options->is_object()) {
    HEARTH_RETURN_IF_ERROR(check.Object(*options, "stream_options.", "stream_options."));
  }
  const Json* messages = FindMember(body, "messages");
  if (messages != nullptr && messages->is_array()) {
    for (size_t i = 0; i < messages->size(); ++i) {
      HEARTH_RETURN_IF_ERROR(check.Message((*messages)[i], absl::StrCat("messages[", i, "]")));
    }
  }
  return check.TakeIgnored();
}

std::string IgnoredHeader(const std::vector<std::string>& names) {
  constexpr size_t npos = std::string_view::npos;
  const auto printable = [](std::string* out, const std::string& name) {
    for (char c : name.substr(0, kMaxIgnoredBytes)) {
      const bool plain = absl::ascii_isalnum(c) || std::string_view("_-.[]").find(c) != npos;
      out->push_back(plain ? c : '?');
    }
  };
  return absl::StrJoin(names, ", ", printable);
}

}  // namespace hearth::server
