#include "tests/tokenizer/backtracking_regex.h"

#include <utf8proc.h>

#include <utility>

#include "engine/check.h"

namespace hearth {
namespace {

bool IsSpace(char32_t c) {
  return std::u32string_view(
             U"\t\n\v\f\r \u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
             U"\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000")
             .find(c) != std::u32string_view::npos;
}

std::u32string Folded(char32_t c) {
  utf8proc_int32_t out[8];
  int last_class = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), out, 8,
                                             UTF8PROC_CASEFOLD, &last_class);
  return std::u32string(out, out + count);
}

}  // namespace

BacktrackingRegex::BacktrackingRegex(std::string_view pattern) : rest_(pattern) {
  root_ = ParseAlternatives();
  HEARTH_CHECK(rest_.empty());
}

size_t BacktrackingRegex::Match(const std::u32string& text, size_t start) const {
  size_t length = std::u32string::npos;
  root_(text, start, [&](size_t end) {
    length = end - start;
    return true;
  });
  return length;
}

bool BacktrackingRegex::Take(std::string_view expected) {
  if (rest_.substr(0, expected.size()) != expected) return false;
  rest_.remove_prefix(expected.size());
  return true;
}

BacktrackingRegex::Node BacktrackingRegex::ParseAlternatives() {
  std::vector<Node> alternatives = {ParseSequence()};
  while (Take("|")) alternatives.push_back(ParseSequence());
  return [alternatives](const std::u32string& text, size_t pos, const Next& next) {
    for (const Node& node : alternatives) {
      if (node(text, pos, next)) return true;
    }
    return false;
  };
}

BacktrackingRegex::Node BacktrackingRegex::ParseSequence() {
  Node sequence = [](const std::u32string&, size_t pos, const Next& next) { return next(pos); };
  while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
    Node atom = ParseQuantifier(ParseAtom());
    sequence = [first = std::move(sequence), second = std::move(atom)](
                   const std::u32string& text, size_t pos, const Next& next) {
      return first(text, pos, [&](size_t middle) { return second(text, middle, next); });
    };
  }
  return sequence;
}

BacktrackingRegex::Node BacktrackingRegex::ParseAtom() {
  if (Take("(")) return ParseGroup();
  Predicate matches;
  if (Take("[")) {
    matches = ParseSet();
  } else if (Take("\\")) {
    matches = ParseEscape();
  } else {
    const char32_t literal = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    matches = [literal, fold = fold_case_](char32_t c) {
      return fold ? Folded(c) == Folded(literal) : c == literal;
    };
  }
  return [matches](const std::u32string& text, size_t pos, const Next& next) {
    return pos < text.size() && matches(text[pos]) && next(pos + 1);
  };
}

BacktrackingRegex::Node BacktrackingRegex::ParseGroup() {
  const bool look_ahead = Take("?!");
  fold_case_ = !look_ahead && Take("?i:");
  HEARTH_CHECK(look_ahead || fold_case_);
  Node inner = ParseAlternatives();
  fold_case_ = false;
  HEARTH_CHECK(Take(")"));
  if (!look_ahead) return inner;
  return [inner](const std::u32string& text, size_t pos, const Next& next) {
    return !inner(text, pos, [](size_t) { return true; }) && next(pos);
  };
}

BacktrackingRegex::Node BacktrackingRegex::ParseQuantifier(Node atom) {
  size_t least = 1, most = 1;
  if (Take("?")) {
    least = 0;
  } else if (Take("*")) {
    least = 0, most = SIZE_MAX;
  } else if (Take("+")) {
    most = SIZE_MAX;
  } else if (Take("{1,3}")) {
    most = 3;
  } else {
    return atom;
  }
  struct Repeat {
    Node atom;
    size_t least, most;
    bool Try(const std::u32string& text, size_t pos, size_t count, const Next& next) const {
      if (count < most &&
          atom(text, pos, [&](size_t end) { return Try(text, end, count + 1, next); })) {
        return true;
      }
      return count >= least && next(pos);
    }
  };
  return [repeat = Repeat{std::move(atom), least, most}](const std::u32string& text, size_t pos,
                                                         const Next& next) {
    return repeat.Try(text, pos, 0, next);
  };
}

BacktrackingRegex::Predicate BacktrackingRegex::ParseSet() {
  const bool negated = Take("^");
  std::vector<Predicate> members;
  while (!Take("]")) {
    if (Take("\\")) {
      members.push_back(ParseEscape());
    } else {
      const char32_t literal = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      members.push_back([literal](char32_t c) { return c == literal; });
    }
  }
  return [members, negated](char32_t c) {
    bool found = false;
    for (const Predicate& member : members) found = found || member(c);
    return found != negated;
  };
}

BacktrackingRegex::Predicate BacktrackingRegex::ParseEscape() {
  if (Take("r")) return [](char32_t c) { return c == U'\r'; };
  if (Take("n")) return [](char32_t c) { return c == U'\n'; };
  if (Take("s")) return IsSpace;
  if (Take("S")) return [](char32_t c) { return !IsSpace(c); };
  HEARTH_CHECK(Take("p{"));
  const size_t end = rest_.find('}');
  const std::string category(rest_.substr(0, end));
  rest_.remove_prefix(end + 1);
  return [category](char32_t c) {
    const std::string_view own = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
    return own.substr(0, category.size()) == category;
  };
}

}  // namespace hearth
