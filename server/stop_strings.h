// Finds stop strings in streamed text and holds back what could still become one.
#ifndef HEARTH_SERVER_STOP_STRINGS_H_
#define HEARTH_SERVER_STOP_STRINGS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::server {

class StopStrings {
 public:
  // REQUIRES: no stop is empty.
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Takes more text and returns what may be shown: all that neither is part of a stop string nor
  // may become one. Once a stop is found, everything from it on is dropped and matched() is it.
  std::string Push(std::string_view text);
  // What was held back, at the end of the text.
  std::string Flush();
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_STOP_STRINGS_H_
