// Bytes of a file as error messages show them.
#ifndef HEARTH_ENGINE_TOKENIZER_QUOTED_H_
#define HEARTH_ENGINE_TOKENIZER_QUOTED_H_

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace hearth {

// The first 64 bytes, escaped, in quotes.
inline std::string Quoted(std::string_view text) {
  return absl::StrCat("'", absl::CHexEscape(std::string(text.substr(0, 64))), "'");
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_QUOTED_H_
