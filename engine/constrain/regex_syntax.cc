#include "engine/constrain/regex_syntax.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

constexpr uint32_t kMaxCount = 1'000'000;  // of a quantifier; more cannot be built anyway

CharSet Digits() { return {{'0', '9'}}; }
CharSet WordChars() { return CharsOf(kAlphanumeric); }
// WhiteSpace and LineTerminator of ECMA-262.
CharSet Spaces() {
  return {{0x09, 0x0D},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
          {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}
CharSet LineEnds() { return {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}; }

bool IsDigit(char32_t code) { return code >= '0' && code <= '9'; }

bool IsLetter(char32_t code) {
  return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
}

int HexValue(char32_t code) {
  if (IsDigit(code)) return static_cast<int>(code - '0');
  if (code >= 'a' && code <= 'f') return static_cast<int>(code - 'a' + 10);
  if (code >= 'A' && code <= 'F') return static_cast<int>(code - 'A' + 10);
  return -1;
}

// An escape: one character, or a set of them.
struct Escape {
  std::optional<char32_t> code;
  CharSet set = {};
};

class Parser {
 public:
  Parser(std::string_view pattern, CompileBudget& budget) : pattern_(pattern), budget_(budget) {}

  absl::StatusOr<RegexSyntax> Parse() {
    HEARTH_RETURN_IF_ERROR(Choice(0).status());
    if (at_ < pattern_.size()) return Error("a ')' without its '('");
    return std::move(syntax_);
  }

 private:
  using Node = absl::StatusOr<uint32_t>;

  absl::Status Error(std::string_view problem) const {
    return absl::InvalidArgumentError(
        absl::StrCat("at byte ", at_, " of the regular expression: ", std::string(problem)));
  }

  bool AtEnd() const { return at_ == pattern_.size(); }
  bool Sees(std::string_view text) const { return pattern_.substr(at_, text.size()) == text; }
  bool Take(std::string_view text) {
    if (!Sees(text)) return false;
    at_ += text.size();
    return true;
  }

  absl::StatusOr<char32_t> TakeChar() {
    if (AtEnd()) return Error("it ends too early");
    const Utf8Char next = FirstUtf8Char(pattern_.substr(at_));
    if (next.kind != Utf8Char::kWhole) return Error("not UTF-8");
    at_ += next.length;
    return next.code;
  }

  Node Add(RegexNode node) {
    HEARTH_RETURN_IF_ERROR(budget_.Spend(16, sizeof(RegexNode) + 16));
    syntax_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(syntax_.nodes.size() - 1);
  }

  Node AddSet(CharSet set) {
    HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(set.ranges().size()),
                                         static_cast<int64_t>(set.ranges().size() * 8)));
    if (!syntax_.sets.empty() && syntax_.sets.back().ranges() == set.ranges()) {
      return Add({RegexNode::kChars, static_cast<uint32_t>(syntax_.sets.size() - 1)});
    }
    syntax_.sets.push_back(std::move(set));
    return Add({RegexNode::kChars, static_cast<uint32_t>(syntax_.sets.size() - 1)});
  }

  Node Choice(int depth) {
    if (depth > kMaxRegexNesting) return Error("groups nest too deep");
    std::vector<uint32_t> choices;
    do {
      HEARTH_ASSIGN_OR_RETURN(const uint32_t sequence, Sequence(depth));
      choices.push_back(sequence);
    } while (Take("|"));
    if (choices.size() == 1) return choices[0];
    return Add({RegexNode::kChoice, 0, 0, 0, std::move(choices)});
  }

  Node Sequence(int depth) {
    std::vector<uint32_t> parts;
    while (!AtEnd() && !Sees("|") && !Sees(")")) {
      HEARTH_ASSIGN_OR_RETURN(const uint32_t part, Quantified(depth));
      parts.push_back(part);
    }
    if (parts.size() == 1) return parts[0];
    return Add({RegexNode::kSequence, 0, 0, 0, std::move(parts)});
  }

  Node Quantified(int depth) {
    HEARTH_ASSIGN_OR_RETURN(uint32_t atom, Atom(depth));
    uint32_t min, max;
    HEARTH_ASSIGN_OR_RETURN(const bool repeated, Quantifier(min, max));
    if (!repeated) return atom;
    const RegexNode::Kind kind = syntax_.nodes[atom].kind;
    if (kind == RegexNode::kTextStart || kind == RegexNode::kTextEnd) {
      return Error("an anchor cannot be repeated");
    }
    Take("?");  // lazy or greedy: the same texts
    HEARTH_ASSIGN_OR_RETURN(atom, Add({RegexNode::kRepeat, 0, min, max, {atom}}));
    uint32_t ignored;
    HEARTH_ASSIGN_OR_RETURN(const bool again, Quantifier(ignored, ignored));
    if (again) return Error("nothing to repeat");
    return atom;
  }

  // Whether there is one.
  absl::StatusOr<bool> Quantifier(uint32_t& min, uint32_t& max) {
    min = 0;
    max = RegexNode::kUnbounded;
    if (Take("*")) return true;
    if (Take("+")) return min = 1, true;
    if (Take("?")) return max = 1, true;
    const size_t start = at_;
    if (!Take("{")) return false;
    const std::optional<uint32_t> low = Count();
    if (low) {
      min = max = *low;
      if (Take(",")) max = Count().value_or(RegexNode::kUnbounded);
    }
    if (!low || !Take("}")) {
      at_ = start;  // an ordinary character, as browsers have it
      return false;
    }
    if (min > max) return Error("the numbers of a quantifier are out of order");
    if (min > kMaxCount || (max > kMaxCount && max != RegexNode::kUnbounded)) {
      return Error("a quantifier repeats too often");
    }
    return true;
  }

  std::optional<uint32_t> Count() {
    if (AtEnd() || !IsDigit(pattern_[at_])) return std::nullopt;
    uint32_t count = 0;
    for (; !AtEnd() && IsDigit(pattern_[at_]); ++at_) {
      count = std::min<uint32_t>(count * 10 + (pattern_[at_] - '0'), kMaxCount + 1);
    }
    return count;
  }

  Node Atom(int depth) {
    if (Sees("*") || Sees("+") || Sees("?")) return Error("nothing to repeat");
    if (Take("^")) return Add({RegexNode::kTextStart});
    if (Take("$")) return Add({RegexNode::kTextEnd});
    if (Take(".")) return AddSet(LineEnds().Complement());
    if (Take("(")) return Group(depth);
    if (Take("[")) return Class();
    if (Take("\\")) {
      HEARTH_ASSIGN_OR_RETURN(Escape escape, TakeEscape(/*in_class=*/false));
      if (escape.code) return AddSet({{*escape.code, *escape.code}});
      return AddSet(std::move(escape.set));
    }
    HEARTH_ASSIGN_OR_RETURN(const char32_t code, TakeChar());
    return AddSet({{code, code}});
  }

  Node Group(int depth) {
    if (Sees("?=") || Sees("?!") || Sees("?<=") || Sees("?<!")) {
      return Error("look-around is not supported");
    }
    if (Take("?<")) {
      while (!AtEnd() && !Sees(">") && !Sees(")")) ++at_;
      if (!Take(">")) return Error("a group name without its '>'");
    } else if (!Take("?:") && Sees("?")) {
      return Error("this kind of group is not supported");
    }
    HEARTH_ASSIGN_OR_RETURN(const uint32_t inside, Choice(depth + 1));
    if (!Take(")")) return Error("a '(' without its ')'");
    // A node of its own: an anchor may be repeated in a group, though not bare.
    return Add({RegexNode::kSequence, 0, 0, 0, {inside}});
  }

  Node Class() {
    const bool negated = Take("^");
    std::vector<CharRange> ranges;
    while (!Take("]")) {
      const size_t before = ranges.size();
      HEARTH_RETURN_IF_ERROR(ClassPart(ranges));
      const auto added = static_cast<int64_t>(ranges.size() - before);
      HEARTH_RETURN_IF_ERROR(
          budget_.Spend(8 * (1 + added), 2 * added * int64_t{sizeof(CharRange)}));
    }
    CharSet set = CharSet::Of(std::move(ranges));
    return AddSet(negated ? set.Complement() : std::move(set));
  }

  // A character, an escape or a range.
  absl::Status ClassPart(std::vector<CharRange>& ranges) {
    HEARTH_ASSIGN_OR_RETURN(const Escape low, ClassAtom());
    // A '-' before the ']' stands for itself.
    if (!Sees("-") || Sees("-]")) {
      if (low.code) ranges.push_back({*low.code, *low.code});
      ranges.insert(ranges.end(), low.set.ranges().begin(), low.set.ranges().end());
      return absl::OkStatus();
    }
    Take("-");
    HEARTH_ASSIGN_OR_RETURN(const Escape high, ClassAtom());
    if (!low.code || !high.code) return Error("a range needs a character at each end");
    if (*low.code > *high.code) return Error("a range is out of order");
    ranges.push_back({*low.code, *high.code});
    return absl::OkStatus();
  }

  absl::StatusOr<Escape> ClassAtom() {
    if (Take("\\")) return TakeEscape(/*in_class=*/true);
    HEARTH_ASSIGN_OR_RETURN(const char32_t code, TakeChar());
    return Escape{code};
  }

  // After the backslash.
  absl::StatusOr<Escape> TakeEscape(bool in_class) {
    HEARTH_ASSIGN_OR_RETURN(const char32_t code, TakeChar());
    switch (code) {
      case 'd':
        return Escape{std::nullopt, Digits()};
      case 'D':
        return Escape{std::nullopt, Digits().Complement()};
      case 'w':
        return Escape{std::nullopt, WordChars()};
      case 'W':
        return Escape{std::nullopt, WordChars().Complement()};
      case 's':
        return Escape{std::nullopt, Spaces()};
      case 'S':
        return Escape{std::nullopt, Spaces().Complement()};
      case 'p':
        return Property(/*negated=*/false);
      case 'P':
        return Property(/*negated=*/true);
      case 'b':
        if (in_class) return Escape{'\b'};
        return Error("word boundaries are not supported");
      default:
        return CharEscape(code);
    }
  }

  absl::StatusOr<Escape> CharEscape(char32_t code) {
    switch (code) {
      case 't':
        return Escape{'\t'};
      case 'n':
        return Escape{'\n'};
      case 'v':
        return Escape{'\v'};
      case 'f':
        return Escape{'\f'};
      case 'r':
        return Escape{'\r'};
      case 'c': {
        HEARTH_ASSIGN_OR_RETURN(const char32_t letter, TakeChar());
        if (!IsLetter(letter)) return Error("\\c needs a letter");
        return Escape{letter % 32};
      }
      case 'x': {
        HEARTH_ASSIGN_OR_RETURN(const char32_t value, Hex(2));
        return Escape{value};
      }
      case 'u':
        return UnicodeEscape();
      case '0':
        if (!AtEnd() && IsDigit(pattern_[at_])) return Error("octal escapes are not supported");
        return Escape{char32_t{0}};
      default:
        if (IsDigit(code) || code == 'k') return Error("back references are not supported");
        if (IsLetter(code)) return Error("an unknown escape");
        return Escape{code};
    }
  }

  absl::StatusOr<char32_t> Hex(int digits) {
    char32_t value = 0;
    for (; digits > 0; --digits) {
      HEARTH_ASSIGN_OR_RETURN(const char32_t code, TakeChar());
      if (HexValue(code) < 0) return Error("a hexadecimal digit is missing");
      value = value * 16 + static_cast<char32_t>(HexValue(code));
    }
    return value;
  }

  absl::StatusOr<Escape> UnicodeEscape() {
    char32_t value = 0;
    if (Take("{")) {
      do {
        HEARTH_ASSIGN_OR_RETURN(const char32_t digit, Hex(1));
        value = value * 16 + digit;
        if (value > kLastChar) return Error("no such character");
      } while (!Take("}"));
    } else {
      HEARTH_ASSIGN_OR_RETURN(value, Hex(4));
      if (value >= 0xD800 && value < 0xDC00 && Take("\\u")) {
        HEARTH_ASSIGN_OR_RETURN(const char32_t low, Hex(4));
        if (low < 0xDC00 || low > 0xDFFF) return Error("half a surrogate pair");
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (IsSurrogate(value)) return Error("half a surrogate pair");
    return Escape{value};
  }

  absl::StatusOr<Escape> Property(bool negated) {
    if (!Take("{")) return Error("\\p needs a name in braces");
    const size_t end = pattern_.find('}', at_);
    if (end == pattern_.npos) return Error("\\p needs a name in braces");
    std::optional<CharSet> set = FindCharCategory(pattern_.substr(at_, end - at_));
    if (!set) return Error("this property is not supported; general categories are");
    at_ = end + 1;
    HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(set->ranges().size()) * 8));
    return Escape{std::nullopt, negated ? set->Complement() : *std::move(set)};
  }

  const std::string_view pattern_;
  size_t at_ = 0;
  CompileBudget& budget_;
  RegexSyntax syntax_;
};

}  // namespace

absl::StatusOr<RegexSyntax> ParseRegex(std::string_view pattern, CompileBudget& budget) {
  return Parser(pattern, budget).Parse();
}

}  // namespace hearth
