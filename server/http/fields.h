// What happens with each field of a request (fields.inc and its siblings).
#ifndef HEARTH_SERVER_HTTP_FIELDS_H_
#define HEARTH_SERVER_HTTP_FIELDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/daemon.h"
#include "server/http/endpoint.h"
#include "server/http/json.h"

namespace hearth::server {

enum class FieldTreatment {
  kServed,
  kServedByChat,
  kServedByCompletions,
  kAcceptedLabel,
  kAcceptedLabels,
  kAcceptedFlag,
  kAcceptedNumber,
  kAcceptedText,
  kAcceptedObject,
  kAcceptedList,
  kRefused,
};

struct Field {
  std::string_view name;  // its path: "model", "messages[].role"
  FieldTreatment treatment;
  std::string_view neutral;  // kRefused: a JSON array of the values that are taken
};

// Whose names a request's fields have.
enum class Dialect {
  kChat,         // OpenAI's chat completions
  kCompletions,  // OpenAI's text completions
  kResponses,    // OpenAI's responses
  kMessages,     // Anthropic's messages
  kEmbeddings,   // OpenAI's embeddings
  kTokenize,     // vLLM's and llama.cpp's tokenisation; what has no row there is looked up in kChat
};

// The rows of a dialect's own table. kChat and kCompletions have one together.
absl::Span<const Field> Fields(Dialect dialect);

// The row of the field with this path, or null.
const Field* FindField(std::string_view name, Dialect dialect);

// Refuses, by path ("messages[2].audio"), each field that asks for what is not served, or not by
// this dialect; returns the paths of those in no row, the first 16 at most. What should be an object or a list and is not is
// left to who reads it. REQUIRES: `body` is an object.
absl::StatusOr<std::vector<std::string>> CheckFields(const Json& body, Dialect dialect);

// CheckFields, and what the daemon makes of what is in no row: counts it, or refuses it in its
// strict mode (limits.strict_fields).
absl::StatusOr<std::vector<std::string>> IgnoredFields(Daemon& daemon, const Json& body,
                                                       Dialect dialect);

// Tells them to the client, in the header x-hearth-ignored.
void NameIgnored(const std::vector<std::string>& ignored, HttpReply& reply);

// As a header value: names cut to 64 bytes, of letters, digits and "_-.[]".
std::string IgnoredHeader(const std::vector<std::string>& names);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_FIELDS_H_
