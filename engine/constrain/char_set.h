// Sets of Unicode scalar values.
#ifndef HEARTH_ENGINE_CONSTRAIN_CHAR_SET_H_
#define HEARTH_ENGINE_CONSTRAIN_CHAR_SET_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

namespace hearth {

inline constexpr char32_t kLastChar = 0x10FFFF;

inline bool IsSurrogate(char32_t code) { return code >= 0xD800 && code <= 0xDFFF; }

struct CharRange {
  char32_t low, high;  // both included

  bool operator==(const CharRange& other) const { return low == other.low && high == other.high; }
};

class CharSet {
 public:
  CharSet() = default;
  CharSet(std::initializer_list<CharRange> ranges);
  // In whatever order, they take the time to sort them. REQUIRES: low <= high <= kLastChar.
  static CharSet Of(std::vector<CharRange> ranges);

  // Surrogates are left out. REQUIRES: low <= high <= kLastChar.
  void Add(char32_t low, char32_t high);
  void Add(const CharSet& other);
  CharSet Complement() const;

  bool Contains(char32_t code) const;
  bool Intersects(char32_t low, char32_t high) const;

  // Ascending, neither overlapping nor adjacent (but on both sides of the surrogates).
  const std::vector<CharRange>& ranges() const { return ranges_; }

 private:
  std::vector<CharRange> ranges_;
};

// What \p{name} stands for: a general category by its short or long name ("Lu", "Letter"), bare or
// after "gc=" or "General_Category=". The first call reads the whole of Unicode, in milliseconds.
std::optional<CharSet> FindCharCategory(std::string_view name);

// Nested classes of characters; a token belongs to the first that has all its characters
// (token_trie.h), an automaton says how many characters of a class are safe (text_dfa.h). They are
// what JSON strings hold unescaped, cut where patterns are wont to cut.
enum CharClass : uint8_t { kLowerCase, kAlphanumeric, kWords, kAsciiText, kText };
inline constexpr int kCharClasses = 5;
const CharSet& CharsOf(CharClass char_class);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_CHAR_SET_H_
