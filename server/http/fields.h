// What happens with each field of a generation request (fields.inc).
#ifndef HEARTH_SERVER_HTTP_FIELDS_H_
#define HEARTH_SERVER_HTTP_FIELDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/http/json.h"

namespace hearth::server {

enum class FieldTreatment {
  kServed,
  kServedByChat,
  kServedByCompletions,
  kAcceptedLabel,
  kAcceptedLabels,
  kAcceptedFlag,
  kRefused,
};

struct Field {
  std::string_view name;  // its path: "model", "messages[].role"
  FieldTreatment treatment;
  std::string_view neutral;  // kRefused: a JSON array of the values that are taken
};

absl::Span<const Field> Fields();

// The two endpoints that generate.
enum class Dialect { kChat, kCompletions };

// Refuses, by path ("messages[2].audio"), each field that asks for what is not served; returns the
// paths of those in no row, the first 16 at most. What should be an object or a list and is not is
// left to who reads it. REQUIRES: `body` is an object.
absl::StatusOr<std::vector<std::string>> CheckFields(const Json& body, Dialect dialect);

// As a header value: names cut to 64 bytes, of letters, digits and "_-.[]".
std::string IgnoredHeader(const std::vector<std::string>& names);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_FIELDS_H_
