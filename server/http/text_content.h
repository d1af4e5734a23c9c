// Text of messages and items, which may come in parts.
#ifndef HEARTH_SERVER_HTTP_TEXT_CONTENT_H_
#define HEARTH_SERVER_HTTP_TEXT_CONTENT_H_

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/http/json.h"

namespace hearth::server {

// The text of `content`: a string, or a list of at least one text part, which are joined.
// InvalidArgument names `param`; or the type of a part, with code unsupported_value, when that is
// none of `types`.
absl::StatusOr<std::string> ReadTextContent(const Json& content, const std::string& param,
                                            std::initializer_list<std::string_view> types);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_TEXT_CONTENT_H_
