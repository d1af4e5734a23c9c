#include "engine/constrain/char_set.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <string>

namespace hearth {
namespace {

constexpr int kCategories = 30;  // of utf8proc_category_t

struct CategoryName {
  std::string_view name, long_name;
  // Bits by utf8proc_category_t.
  uint32_t members;
};

constexpr uint32_t Bits(std::initializer_list<int> categories) {
  uint32_t bits = 0;
  for (const int category : categories) bits |= uint32_t{1} << category;
  return bits;
}

// Unicode 15, table 4-4 and PropertyValueAliases.
constexpr CategoryName kCategoryNames[] = {
    {"Lu", "Uppercase_Letter", Bits({UTF8PROC_CATEGORY_LU})},
    {"Ll", "Lowercase_Letter", Bits({UTF8PROC_CATEGORY_LL})},
    {"Lt", "Titlecase_Letter", Bits({UTF8PROC_CATEGORY_LT})},
    {"LC", "Cased_Letter",
     Bits({UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LT})},
    {"Lm", "Modifier_Letter", Bits({UTF8PROC_CATEGORY_LM})},
    {"Lo", "Other_Letter", Bits({UTF8PROC_CATEGORY_LO})},
    {"L", "Letter",
     Bits({UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LT, UTF8PROC_CATEGORY_LM,
           UTF8PROC_CATEGORY_LO})},
    {"Mn", "Nonspacing_Mark", Bits({UTF8PROC_CATEGORY_MN})},
    {"Mc", "Spacing_Mark", Bits({UTF8PROC_CATEGORY_MC})},
    {"Me", "Enclosing_Mark", Bits({UTF8PROC_CATEGORY_ME})},
    {"M", "Mark", Bits({UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MC, UTF8PROC_CATEGORY_ME})},
    {"Nd", "Decimal_Number", Bits({UTF8PROC_CATEGORY_ND})},
    {"Nl", "Letter_Number", Bits({UTF8PROC_CATEGORY_NL})},
    {"No", "Other_Number", Bits({UTF8PROC_CATEGORY_NO})},
    {"N", "Number", Bits({UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NL, UTF8PROC_CATEGORY_NO})},
    {"Pc", "Connector_Punctuation", Bits({UTF8PROC_CATEGORY_PC})},
    {"Pd", "Dash_Punctuation", Bits({UTF8PROC_CATEGORY_PD})},
    {"Ps", "Open_Punctuation", Bits({UTF8PROC_CATEGORY_PS})},
    {"Pe", "Close_Punctuation", Bits({UTF8PROC_CATEGORY_PE})},
    {"Pi", "Initial_Punctuation", Bits({UTF8PROC_CATEGORY_PI})},
    {"Pf", "Final_Punctuation", Bits({UTF8PROC_CATEGORY_PF})},
    {"Po", "Other_Punctuation", Bits({UTF8PROC_CATEGORY_PO})},
    {"P", "Punctuation",
     Bits({UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PD, UTF8PROC_CATEGORY_PS, UTF8PROC_CATEGORY_PE,
           UTF8PROC_CATEGORY_PI, UTF8PROC_CATEGORY_PF, UTF8PROC_CATEGORY_PO})},
    {"Sm", "Math_Symbol", Bits({UTF8PROC_CATEGORY_SM})},
    {"Sc", "Currency_Symbol", Bits({UTF8PROC_CATEGORY_SC})},
    {"Sk", "Modifier_Symbol", Bits({UTF8PROC_CATEGORY_SK})},
    {"So", "Other_Symbol", Bits({UTF8PROC_CATEGORY_SO})},
    {"S", "Symbol",
     Bits(
         {UTF8PROC_CATEGORY_SM, UTF8PROC_CATEGORY_SC, UTF8PROC_CATEGORY_SK, UTF8PROC_CATEGORY_SO})},
    {"Zs", "Space_Separator", Bits({UTF8PROC_CATEGORY_ZS})},
    {"Zl", "Line_Separator", Bits({UTF8PROC_CATEGORY_ZL})},
    {"Zp", "Paragraph_Separator", Bits({UTF8PROC_CATEGORY_ZP})},
    {"Z", "Separator", Bits({UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZL, UTF8PROC_CATEGORY_ZP})},
    {"Cc", "Control", Bits({UTF8PROC_CATEGORY_CC})},
    {"Cf", "Format", Bits({UTF8PROC_CATEGORY_CF})},
    {"Co", "Private_Use", Bits({UTF8PROC_CATEGORY_CO})},
    {"Cn", "Unassigned", Bits({UTF8PROC_CATEGORY_CN})},
};

const std::array<CharSet, kCategories>& Categories() {
  static const std::array<CharSet, kCategories> categories = [] {
    std::array<CharSet, kCategories> sets;
    for (char32_t low = 0; low <= kLastChar;) {
      const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(low));
      char32_t high = low;
      while (high < kLastChar &&
             utf8proc_category(static_cast<utf8proc_int32_t>(high + 1)) == category) {
        ++high;
      }
      sets[category].Add(low, high);
      low = high + 1;
    }
    return sets;
  }();
  return categories;
}

}  // namespace

CharSet::CharSet(std::initializer_list<CharRange> ranges) {
  for (const CharRange& range : ranges) Add(range.low, range.high);
}

CharSet CharSet::Of(std::vector<CharRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CharRange& a, const CharRange& b) { return a.low < b.low; });
  CharSet set;
  for (const CharRange& range : ranges) set.Add(range.low, range.high);
  return set;
}

void CharSet::Add(char32_t low, char32_t high) {
  if (low <= 0xDFFF && high >= 0xD800) {
    if (low < 0xD800) Add(low, 0xD7FF);
    if (high > 0xDFFF) Add(0xE000, high);
    return;
  }
  // The ranges that touch the new one become one with it.
  const auto first =
      std::lower_bound(ranges_.begin(), ranges_.end(), low,
                       [](const CharRange& range, char32_t code) { return range.high + 1 < code; });
  auto last = first;
  for (; last != ranges_.end() && last->low <= high + 1; ++last) {
    low = std::min(low, last->low);
    high = std::max(high, last->high);
  }
  if (first == last) {
    ranges_.insert(first, {low, high});
  } else {
    *first = {low, high};
    ranges_.erase(first + 1, last);
  }
}

void CharSet::Add(const CharSet& other) {
  for (const CharRange& range : other.ranges_) Add(range.low, range.high);
}

CharSet CharSet::Complement() const {
  CharSet complement;
  char32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.low > next) complement.Add(next, range.low - 1);
    next = range.high + 1;
  }
  if (next <= kLastChar) complement.Add(next, kLastChar);
  return complement;
}

bool CharSet::Contains(char32_t code) const { return Intersects(code, code); }

bool CharSet::Intersects(char32_t low, char32_t high) const {
  const auto at =
      std::lower_bound(ranges_.begin(), ranges_.end(), low,
                       [](const CharRange& range, char32_t code) { return range.high < code; });
  return at != ranges_.end() && at->low <= high;
}

std::optional<CharSet> FindCharCategory(std::string_view name) {
  for (const std::string_view prefix : {"gc=", "General_Category="}) {
    if (name.substr(0, prefix.size()) == prefix) name.remove_prefix(prefix.size());
  }
  for (const CategoryName& row : kCategoryNames) {
    if (name != row.name && name != row.long_name) continue;
    CharSet set;
    for (int category = 0; category < kCategories; ++category) {
      if (row.members >> category & 1) set.Add(Categories()[category]);
    }
    return set;
  }
  return std::nullopt;
}

const CharSet& CharsOf(CharClass char_class) {
  static const CharSet classes[kCharClasses] = {
      {{'a', 'z'}},
      {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'_', '_'}},
      {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'_', '_'}, {' ', ' '}},
      {{' ', '!'}, {'#', '['}, {']', '~'}},
      [] {
        CharSet text = {{' ', '!'}, {'#', '['}, {']', '~'}, {0xA1, kLastChar}};
        // White space that is not ASCII: rare in tokens, and what \s and '.' leave out.
        const CharSet spaces = {{0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                                {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
                                {0xFEFF, 0xFEFF}};
        CharSet others = text.Complement();
        others.Add(spaces);
        return others.Complement();
      }(),
  };
  return classes[char_class];
}

}  // namespace hearth
