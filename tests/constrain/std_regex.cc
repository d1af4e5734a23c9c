#include "tests/constrain/std_regex.h"

#include <map>
#include <regex>

namespace hearth {
namespace {

const std::regex& Compiled(const std::string& pattern) {
  static std::map<std::string, std::regex> compiled;
  const auto known = compiled.find(pattern);
  if (known != compiled.end()) return known->second;
  return compiled.emplace(pattern, std::regex(pattern, std::regex::ECMAScript)).first->second;
}

}  // namespace

bool StdRegexMatches(const std::string& pattern, const std::string& text) {
  return std::regex_match(text, Compiled(pattern));
}

bool StdRegexSearches(const std::string& pattern, const std::string& text) {
  return std::regex_search(text, Compiled(pattern));
}

}  // namespace hearth
