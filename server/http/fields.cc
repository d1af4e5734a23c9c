#include "server/http/fields.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr ptrdiff_t kMaxLabelCharacters = 512;
constexpr size_t kMaxLabels = 16;
constexpr size_t kMaxIgnoredNames = 16;  // more tell nobody anything
constexpr size_t kMaxIgnoredBytes = 64;

#define HEARTH_FIELD(name, treatment, neutral) {name, FieldTreatment::treatment, neutral},
constexpr Field kGenerationFields[] = {
#include "server/http/fields.inc"
};
constexpr Field kResponsesFields[] = {
#include "server/http/responses_fields.inc"
};
constexpr Field kMessagesFields[] = {
#include "server/http/messages_fields.inc"
};
constexpr Field kEmbeddingsFields[] = {
#include "server/http/embeddings_fields.inc"
};
constexpr Field kTokenizeFields[] = {
#include "server/http/tokenize_fields.inc"
};
#undef HEARTH_FIELD

// Whether there are rows for what is in the field `name`: "name.member", "name[].member".
bool HasMembers(std::string_view name, std::string_view separator, Dialect dialect) {
  const std::string prefix = std::string(name).append(separator);
  const absl::Span<const Field> rows = Fields(dialect);
  const bool any = std::any_of(rows.begin(), rows.end(), [&prefix](const Field& field) {
    return field.name.starts_with(prefix);
  });
  return any || (dialect == Dialect::kTokenize && HasMembers(name, separator, Dialect::kChat));
}

bool IsLabel(const Json& value) {
  if (!value.is_string()) return false;
  const std::string& text = StringOf(value);
  const auto begins_character = [](char c) { return (c & 0xC0) != 0x80; };
  return std::count_if(text.begin(), text.end(), begins_character) <= kMaxLabelCharacters &&
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
      return CheckDialect(dialect != Dialect::kCompletions, path);
    case FieldTreatment::kServedByCompletions:
      return CheckDialect(dialect == Dialect::kCompletions, path);
    case FieldTreatment::kAcceptedLabel:
      if (IsLabel(value)) return absl::OkStatus();
      return InvalidParam(path,
                          "must be a string of at most 512 characters, none of them a control");
    case FieldTreatment::kAcceptedLabels:
      if (AreLabels(value)) return absl::OkStatus();
      return InvalidParam(path, "must be an object of at most 16 strings of 512 characters");
    case FieldTreatment::kAcceptedFlag:
      if (value.is_boolean()) return absl::OkStatus();
      return InvalidParam(path, "must be true or false");
    case FieldTreatment::kAcceptedNumber:
      if (value.is_number()) return absl::OkStatus();
      return InvalidParam(path, "must be a number");
    case FieldTreatment::kAcceptedText:
      if (value.is_string()) return absl::OkStatus();
      return InvalidParam(path, "must be a string");
    case FieldTreatment::kAcceptedObject:
      if (value.is_object()) return absl::OkStatus();
      return InvalidParam(path, "must be an object");
    case FieldTreatment::kAcceptedList:
      if (value.is_array()) return absl::OkStatus();
      return InvalidParam(path, "must be a list");
    case FieldTreatment::kRefused:
      return CheckNeutral(field, value, path);
  }
  return absl::OkStatus();
}

// Whether an endpoint of another dialect follows the field: left out here, it would be missed.
bool IsServedElsewhere(std::string_view name, Dialect here) {
  constexpr Dialect kAll[] = {Dialect::kChat, Dialect::kResponses, Dialect::kMessages,
                              Dialect::kEmbeddings};
  return here != Dialect::kTokenize &&
         std::any_of(std::begin(kAll), std::end(kAll), [name](Dialect dialect) {
           const Field* row = FindField(name, dialect);
           return row != nullptr && (row->treatment == FieldTreatment::kServed ||
                                     row->treatment == FieldTreatment::kServedByChat ||
                                     row->treatment == FieldTreatment::kServedByCompletions);
         });
}

// The walk over one document. Values that have no rows for their members (schemas, labels) are the
// reader's alone.
class FieldCheck {
 public:
  explicit FieldCheck(Dialect dialect) : dialect_(dialect) {}

  // The members of `object`, whose rows begin with `prefix` and whose paths begin with `path`.
  // (As deep as the rows are.)
  absl::Status Object(const Json& object, const std::string& prefix, const std::string& path) {
    for (const auto& [name, value] : object.items()) {
      const bool path_like = name.find_first_of(".[") != std::string::npos;
      const Field* field = path_like ? nullptr : FindField(prefix + name, dialect_);
      if (field == nullptr) {
        if (prefix.empty() && !path_like && !value.is_null()) {
          HEARTH_RETURN_IF_ERROR(CheckDialect(!IsServedElsewhere(name, dialect_), name));
        }
        if (ignored_.size() < kMaxIgnoredNames) ignored_.push_back(path + name);
      } else if (!value.is_null()) {
        HEARTH_RETURN_IF_ERROR(CheckField(*field, value, dialect_, path + name));
        HEARTH_RETURN_IF_ERROR(Members(value, prefix + name, path + name));
      }
    }
    return absl::OkStatus();
  }

  std::vector<std::string> TakeIgnored() { return std::move(ignored_); }

 private:
  absl::Status Members(const Json& value, const std::string& row, const std::string& path) {
    if (value.is_object() && HasMembers(row, ".", dialect_)) {
      return Object(value, row + ".", path + ".");
    }
    if (!value.is_array() || !HasMembers(row, "[].", dialect_)) return absl::OkStatus();
    for (size_t i = 0; i < value.size(); ++i) {
      if (!value[i].is_object()) continue;
      HEARTH_RETURN_IF_ERROR(Object(value[i], row + "[].", absl::StrCat(path, "[", i, "].")));
    }
    return absl::OkStatus();
  }

  const Dialect dialect_;
  std::vector<std::string> ignored_;
};

}  // namespace

absl::Span<const Field> Fields(Dialect dialect) {
  switch (dialect) {
    case Dialect::kChat:
    case Dialect::kCompletions:
      return kGenerationFields;
    case Dialect::kResponses:
      return kResponsesFields;
    case Dialect::kMessages:
      return kMessagesFields;
    case Dialect::kEmbeddings:
      return kEmbeddingsFields;
    case Dialect::kTokenize:
      return kTokenizeFields;
  }
  return {};
}

const Field* FindField(std::string_view name, Dialect dialect) {
  const absl::Span<const Field> rows = Fields(dialect);
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [name](const Field& field) { return field.name == name; });
  if (row != rows.end()) return &*row;
  return dialect == Dialect::kTokenize ? FindField(name, Dialect::kChat) : nullptr;
}

absl::StatusOr<std::vector<std::string>> CheckFields(const Json& body, Dialect dialect) {
  FieldCheck check(dialect);
  HEARTH_RETURN_IF_ERROR(check.Object(body, "", ""));
  return check.TakeIgnored();
}

absl::StatusOr<std::vector<std::string>> IgnoredFields(Daemon& daemon, const Json& body,
                                                       Dialect dialect) {
  HEARTH_ASSIGN_OR_RETURN(std::vector<std::string> ignored, CheckFields(body, dialect));
  if (ignored.empty()) return ignored;
  if (daemon.config().limits().strict_fields()) {
    return InvalidParam(IgnoredHeader({ignored[0]}), "is not a field that is known here",
                        "unknown_parameter");
  }
  daemon.metrics().CountIgnoredFields(ignored.size());
  return ignored;
}

void NameIgnored(const std::vector<std::string>& ignored, HttpReply& reply) {
  if (ignored.empty()) return;
  reply.headers.emplace_back("x-hearth-ignored", IgnoredHeader(ignored));
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
