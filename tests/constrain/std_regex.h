// The standard library's regular expressions, as a reference. In a file of its own because GCC 12
// warns of them when it instruments them.
#ifndef HEARTH_TESTS_CONSTRAIN_STD_REGEX_H_
#define HEARTH_TESTS_CONSTRAIN_STD_REGEX_H_

#include <string>

namespace hearth {

// ECMAScript syntax, on bytes.
bool StdRegexMatches(const std::string& pattern, const std::string& text);   // the whole text
bool StdRegexSearches(const std::string& pattern, const std::string& text);  // a part of it

}  // namespace hearth

#endif  // HEARTH_TESTS_CONSTRAIN_STD_REGEX_H_
