#include "server/http/document.h"

#include <mutex>
#include <utility>

#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {

absl::Status ReadDocument(HttpRequest& http,
                          absl::FunctionRef<absl::Status(const Json& object)> read) {
  Body text = std::move(http.body);  // counts until it has been parsed
  static std::mutex one_document;
  std::lock_guard<std::mutex> lock(one_document);
  HEARTH_ASSIGN_OR_RETURN(const Json body, ParseJson(text.text()));
  if (!body.is_object()) return InvalidParam("", "the body must be a JSON object");
  return read(body);
}

}  // namespace hearth::server
