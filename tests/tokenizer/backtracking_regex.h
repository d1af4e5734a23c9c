// A plain backtracking matcher for the regular expressions of pre-splits: the definition that
// the hand-written scanners are compared with. Exponential and recursive; for short texts.
#ifndef HEARTH_TESTS_TOKENIZER_BACKTRACKING_REGEX_H_
#define HEARTH_TESTS_TOKENIZER_BACKTRACKING_REGEX_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// Knows | ? * + {m,n} [set] [^set] \r \n \s \S \p{..} (?i:..) (?!..), no more. Greedy,
// leftmost-first.
class BacktrackingRegex {
 public:
  explicit BacktrackingRegex(std::string_view pattern);

  // The length of the match at `start`, or npos.
  size_t Match(const std::u32string& text, size_t start) const;

 private:
  using Next = std::function<bool(size_t)>;
  using Node = std::function<bool(const std::u32string& text, size_t pos, const Next& next)>;
  using Predicate = std::function<bool(char32_t)>;

  Node ParseAlternatives();
  Node ParseSequence();
  Node ParseAtom();
  Node ParseGroup();
  Node ParseQuantifier(Node atom);
  Predicate ParseSet();
  Predicate ParseEscape();
  bool Take(std::string_view expected);

  std::string_view rest_;
  bool fold_case_ = false;
  Node root_;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_TOKENIZER_BACKTRACKING_REGEX_H_
