// A prompt as it is written: markers by name, text as plain text.
#ifndef HEARTH_ENGINE_CHAT_PROMPT_H_
#define HEARTH_ENGINE_CHAT_PROMPT_H_

#include <string_view>
#include <vector>

#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth {

class Prompt {
 public:
  // Text is left out once there are more than `enough` ids. REQUIRES: tokenizer outlives the
  // prompt.
  Prompt(const Tokenizer& tokenizer, size_t enough) : tokenizer_(tokenizer), enough_(enough) {}

  // REQUIRES: the vocabulary has the marker.
  void AddMarker(std::string_view spelling);

  // What stands between two markers. It must come in one call: tokens may span its parts.
  void AddText(std::string_view text);

  // BOS, if the vocabulary asks for one.
  void AddBosIfAsked();

  std::vector<TokenId> TakeIds() { return std::move(ids_); }

 private:
  const Tokenizer& tokenizer_;
  const size_t enough_;
  std::vector<TokenId> ids_;
};

// Without the white space in front, by the property White_Space.
std::string_view TrimStart(std::string_view text);

// As Jinja's `trim`, which is Python's str.strip(): both ends, U+001C to U+001F included.
std::string_view Trim(std::string_view text);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CHAT_PROMPT_H_
