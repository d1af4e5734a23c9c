// ASCII as HTTP writes it. (Debian's Abseil has a string_view of its own that std's does not
// convert to; what HTTP needs of absl/strings is little.)
#ifndef HEARTH_SERVER_HTTP_ASCII_H_
#define HEARTH_SERVER_HTTP_ASCII_H_

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"

namespace hearth::server {

inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return absl::ascii_tolower(x) == absl::ascii_tolower(y);
  });
}

inline bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

inline std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = absl::ascii_tolower(c);
  return lower;
}

// Without optional white space, spaces and tabs, at both ends.
inline std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// A number written in decimal digits and nothing else; nullopt beyond 64 bits.
inline std::optional<uint64_t> ParseDigits(std::string_view text) {
  uint64_t value = 0;
  if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit)) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

// Calls `visit` with each part of `text` between separators, empty ones too.
template <typename Visit>
void ForEachPart(std::string_view text, char separator, Visit visit) {
  while (true) {
    const size_t end = text.find(separator);
    visit(text.substr(0, end));
    if (end == text.npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_ASCII_H_
