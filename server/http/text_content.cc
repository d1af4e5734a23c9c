#include "server/http/text_content.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {

absl::StatusOr<std::string> ReadTextContent(const Json& content, const std::string& param,
                                            std::initializer_list<std::string_view> types) {
  if (content.is_string()) return StringOf(content);
  if (!content.is_array() || content.empty()) {
    return InvalidParam(param, "must be a string or a list of text parts");
  }
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part = absl::StrCat(param, "[", i, "]");
    HEARTH_ASSIGN_OR_RETURN(const std::string type, ReadType(content[i], part));
    if (std::find(types.begin(), types.end(), type) == types.end()) {
      return InvalidParam(part + ".type", "only text parts are supported", "unsupported_value");
    }
    HEARTH_ASSIGN_OR_RETURN(const std::string words, RequireString(content[i], "text", part));
    text += words;
  }
  return text;
}

}  // namespace hearth::server
