#include "engine/constrain/number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr size_t kMaxDigits = 40;  // of a bound
constexpr uint32_t kDigits = 15;   // a double tells all decimals of so many digits apart
constexpr uint32_t kIntegerDigits = 18;

// Symbols: the ten digits are 0 to 9. Integers have no others than the first.
enum Symbol : uint32_t {
  kMinus = 10,
  kOther,
  kIntegerSymbols,
  kPlus = 12,
  kPoint,
  kExponent,
  kSymbols
};

Alphabet NumberAlphabet(bool integer) {
  Alphabet alphabet{{}, {}, integer ? kIntegerSymbols : kSymbols};
  const auto add = [&](char32_t start, uint32_t symbol) {
    if (symbol >= alphabet.size) symbol = kOther;
    alphabet.starts.push_back(start);
    alphabet.symbols.push_back(static_cast<uint16_t>(symbol));
  };
  add(0, kOther);
  add('+', kPlus);
  add(',', kOther);
  add('-', kMinus);
  add('.', kPoint);
  add('/', kOther);
  for (uint32_t digit = 0; digit < 10; ++digit) add('0' + digit, digit);
  add(':', kOther);
  add('E', kExponent);
  add('F', kOther);
  add('e', kExponent);
  add('f', kOther);
  return alphabet;
}

// Divisibility as an automaton over digits, as small as can be: beginnings that go on to multiples
// alike are one state. State 0 is where nothing or zeros were read, and the multiples.
class Multiples {
 public:
  static constexpr size_t kMostStates = 1024;  // never more than the divisor

  static absl::StatusOr<Multiples> Of(uint32_t divisor, CompileBudget& budget) {
    Multiples multiples;
    std::vector<uint64_t> remainders = {0};  // one for each state
    absl::flat_hash_map<Endings, uint32_t> states = {{EndingsOf(0, divisor), 0}};
    for (size_t s = 0; s < remainders.size(); ++s) {
      HEARTH_RETURN_IF_ERROR(budget.Spend(10 * 16, 10 * sizeof(uint32_t) + 128));
      for (uint32_t digit = 0; digit < 10; ++digit) {
        const uint64_t remainder = (remainders[s] * 10 + digit) % divisor;
        const auto [at, added] = states.emplace(EndingsOf(remainder, divisor), remainders.size());
        if (added) remainders.push_back(remainder);
        multiples.next_.push_back(at->second);
      }
      if (remainders.size() > kMostStates) {
        return absl::InvalidArgumentError(
            absl::StrCat("only integers up to ", kMostStates, " are supported, and larger ones of ",
                         "whose leading digits so many remainders matter (3600 and 86400 do)"));
      }
    }
    return multiples;
  }

  uint32_t Next(uint32_t state, uint32_t digit) const { return next_[state * 10 + digit]; }

 private:
  // By how many digits are still to come: the least number that they can be, if any. It tells all
  // of them, which are a divisor apart.
  using Endings = std::array<uint32_t, 11>;

  static Endings EndingsOf(uint64_t remainder, uint32_t divisor) {
    Endings endings{};
    uint64_t beyond = 1;  // the least number of more digits
    for (uint32_t& ending : endings) {
      const uint64_t least = (divisor - remainder) % divisor;
      ending = least < beyond ? static_cast<uint32_t>(least) : UINT32_MAX;
      if (beyond >= divisor) break;  // more digits tell nothing new
      beyond *= 10;
      remainder = remainder * 10 % divisor;
    }
    return endings;
  }

  std::vector<uint32_t> next_;
};

int CompareMagnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole); order != 0) return order;
  // A prefix compares less, which is right as long as no zeros trail.
  return a.fraction.compare(b.fraction);
}

// One bound on the magnitude, as digits are read.
struct Magnitude {
  std::string whole = "", fraction = "";
  bool exclusive = false;
  bool none = false;

  // The order of what has been read against as many digits of the bound: -1, 0, 1. Whole parts
  // that turn out longer or shorter are told by EndWhole.
  int8_t Whole(int8_t order, uint32_t index, int digit) const {
    if (none || order != 0 || index >= whole.size()) return order;
    return Order(digit, whole[index] - '0');
  }
  int8_t EndWhole(int8_t order, uint32_t digits) const {
    if (none || digits == whole.size()) return order;
    return digits < whole.size() ? -1 : 1;
  }
  int8_t Fraction(int8_t order, uint32_t index, int digit) const {
    if (none || order != 0) return order;
    return Order(digit, index < fraction.size() ? fraction[index] - '0' : 0);
  }
  int8_t End(int8_t order, uint32_t fraction_digits) const {
    return !none && order == 0 && fraction_digits < fraction.size() ? -1 : order;
  }

 private:
  static int8_t Order(int a, int b) { return static_cast<int8_t>(a < b ? -1 : a > b ? 1 : 0); }
};

// Reads one number digit by digit. What has been read so far:
struct Reader {
  enum Phase : uint8_t { kStart, kSigned, kZero, kWhole, kJustPoint, kFraction, kE, kESign, kExp };
  Phase phase = kStart;
  bool negative = false;
  int8_t low = 0, high = 0;  // order against the bounds of this sign
  uint8_t whole = 0;         // digits; a lone 0 counts as none
  uint8_t fraction = 0;
  uint8_t exponent = 0;
  uint32_t multiple = 0;  // of Multiples

  auto Tuple() const {
    return std::make_tuple(phase, negative, low, high, whole, fraction, exponent, multiple);
  }
  bool operator==(const Reader& other) const { return Tuple() == other.Tuple(); }
  template <typename H>
  friend H AbslHashValue(H state, const Reader& reader) {
    return H::combine(std::move(state), static_cast<int>(reader.phase), reader.negative, reader.low,
                      reader.high, reader.whole, reader.fraction, reader.exponent, reader.multiple);
  }
};

class NumberBuilder {
 public:
  NumberBuilder(const NumberRange& range, CompileBudget& budget) : budget_(budget) {
    integer_ = range.integer || range.multiple_of != 1;
    bounded_ = range.low || range.high;
    multiple_of_ = range.multiple_of;
    digits_ = integer_ ? kIntegerDigits : kDigits;
    for (const auto& bound : {range.low, range.high}) {
      if (!bound) continue;
      const size_t digits = std::max<size_t>(bound->value.whole.size(), 1) +
                            (integer_ ? 0 : bound->value.fraction.size());
      digits_ = std::max(digits_, static_cast<uint32_t>(digits));
    }
    SetBounds(range.low, range.high, /*sign=*/0);
    SetBounds(range.high, range.low, /*sign=*/1);
  }

  absl::StatusOr<SharedText> Make() {
    if (multiple_of_ != 1) {
      HEARTH_ASSIGN_OR_RETURN(multiples_, Multiples::Of(multiple_of_, budget_));
    }
    TextTable table;
    table.alphabet = NumberAlphabet(integer_);
    const uint32_t symbols = table.alphabet.size;
    Number(Reader{});
    for (size_t s = 0; s < readers_.size(); ++s) {
      HEARTH_RETURN_IF_ERROR(budget_.Spend(symbols * 6, symbols * 12 + 64));
      const Reader reader = readers_[s];
      table.accepts.push_back(Accepts(reader));
      for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
        Reader next = reader;
        table.next.push_back(Advance(next, symbol) ? Number(next) : TextDfa::kDead);
      }
    }
    return std::make_shared<const TextDfa>(table);
  }

 private:
  // What the magnitudes of a sign must lie between: the bound towards zero is `near`.
  void SetBounds(const std::optional<NumberBound>& near, const std::optional<NumberBound>& far,
                 int sign) {
    const bool negative = sign == 1;
    const auto reaches = [&](const NumberBound& bound) { return bound.value.negative == negative; };
    if (near && reaches(*near)) {
      low_[sign] = {near->value.whole, near->value.fraction, near->exclusive};
    } else {
      // -0 is spelt 0, and stays out of what has the minus sign.
      low_[sign].exclusive = negative && (bounded_ || integer_);
      low_[sign].none = !low_[sign].exclusive;
    }
    if (!far) {
      high_[sign].none = true;
    } else if (reaches(*far) || far->value.IsZero()) {
      high_[sign] = {far->value.whole, far->value.fraction, far->exclusive};
    } else {
      excluded_[sign] = true;
    }
  }

  uint32_t Number(const Reader& reader) {
    const auto [at, added] = numbers_.emplace(reader, readers_.size());
    if (added) readers_.push_back(reader);
    return at->second;
  }

  bool Accepts(const Reader& reader) const {
    using enum Reader::Phase;
    if (reader.phase != kZero && reader.phase != kWhole && reader.phase != kFraction &&
        reader.phase != kExp) {
      return false;
    }
    if (reader.multiple != 0) return false;
    const int sign = reader.negative;
    int8_t low = reader.low, high = reader.high;
    if (reader.phase == kZero || reader.phase == kWhole) {
      low = low_[sign].EndWhole(low, reader.whole);
      high = high_[sign].EndWhole(high, reader.whole);
    }
    low = low_[sign].End(low, reader.fraction);
    high = high_[sign].End(high, reader.fraction);
    if (!low_[sign].none && (low < 0 || (low == 0 && low_[sign].exclusive))) return false;
    return high_[sign].none || high < 0 || (high == 0 && !high_[sign].exclusive);
  }

  // False when no number goes on so.
  bool Advance(Reader& reader, uint32_t symbol) const {
    using enum Reader::Phase;
    const bool digit = symbol < 10;
    switch (reader.phase) {
      case kStart:
        if (symbol == kMinus) {
          reader.phase = kSigned;
          reader.negative = true;
          return !excluded_[1];
        }
        if (excluded_[0]) return false;
        [[fallthrough]];
      case kSigned:
        if (symbol == 0) reader.phase = kZero;
        if (symbol == 0 || !digit) return symbol == 0;
        reader.phase = kWhole;
        // The sign keeps integers from being -0, and else matters to bounds.
        if (integer_ && !bounded_) reader.negative = false;
        return AddWhole(reader, symbol);
      case kWhole:
        if (digit) return AddWhole(reader, symbol);
        [[fallthrough]];
      case kZero:
        if (symbol == kExponent) return StartExponent(reader);
        if (symbol != kPoint || integer_) return false;
        reader.low = low_[reader.negative].EndWhole(reader.low, reader.whole);
        reader.high = high_[reader.negative].EndWhole(reader.high, reader.whole);
        reader.phase = kJustPoint;
        return true;
      case kJustPoint:
      case kFraction:
        if (symbol == kExponent && reader.phase == kFraction) return StartExponent(reader);
        reader.phase = kFraction;
        return digit && AddFraction(reader, symbol);
      case kE:
        if (symbol == kMinus || symbol == kPlus) {
          reader.phase = kESign;
          return true;
        }
        [[fallthrough]];
      case kESign:
      case kExp:
        reader.phase = kExp;
        return digit && ++reader.exponent <= 2;
    }
    return false;
  }

  bool AddWhole(Reader& reader, uint32_t digit) const {
    const int value = static_cast<int>(digit);
    const Magnitude& low = low_[reader.negative];
    const Magnitude& high = high_[reader.negative];
    reader.low = low.Whole(reader.low, reader.whole, value);
    reader.high = high.Whole(reader.high, reader.whole, value);
    if (multiples_) reader.multiple = multiples_->Next(reader.multiple, digit);
    ++reader.whole;
    // What has more digits than a bound is beyond it, whichever they are.
    if (!low.none && reader.whole > low.whole.size()) reader.low = 1;
    if (!high.none && reader.whole > high.whole.size()) return false;
    return reader.whole <= digits_;
  }

  bool AddFraction(Reader& reader, uint32_t digit) const {
    const int value = static_cast<int>(digit);
    reader.low = low_[reader.negative].Fraction(reader.low, reader.fraction, value);
    reader.high = high_[reader.negative].Fraction(reader.high, reader.fraction, value);
    ++reader.fraction;
    return std::max<uint32_t>(reader.whole, 1) + reader.fraction <= digits_;
  }

  bool StartExponent(Reader& reader) const {
    reader.phase = Reader::kE;
    // How many digits came before does not matter any more.
    reader.whole = reader.fraction = 0;
    return !bounded_ && !integer_;
  }

  CompileBudget& budget_;
  bool integer_, bounded_;
  uint32_t multiple_of_, digits_;
  std::optional<Multiples> multiples_;
  Magnitude low_[2], high_[2];  // by sign
  bool excluded_[2] = {};
  std::vector<Reader> readers_;
  absl::flat_hash_map<Reader, uint32_t> numbers_;
};

}  // namespace

absl::StatusOr<Decimal> Decimal::Parse(std::string_view json) {
  Decimal decimal;
  if (!json.empty() && json[0] == '-') {
    decimal.negative = true;
    json.remove_prefix(1);
  }
  const size_t e = json.find_first_of("eE");
  int exponent = 0;
  if (e != json.npos) {
    const size_t digits = json[e + 1] == '+' ? e + 2 : e + 1;
    const auto parsed = std::from_chars(json.data() + digits, json.data() + json.size(), exponent);
    if (parsed.ec != std::errc() || std::abs(exponent) > 2 * static_cast<int>(kMaxDigits)) {
      exponent = 4 * static_cast<int>(kMaxDigits);
    }
    json = json.substr(0, e);
  }
  const size_t point = json.find('.');
  decimal.whole = std::string(json.substr(0, point));
  if (point != json.npos) decimal.fraction = std::string(json.substr(point + 1));
  for (; exponent > 0; --exponent) {
    decimal.whole.push_back(decimal.fraction.empty() ? '0' : decimal.fraction[0]);
    if (!decimal.fraction.empty()) decimal.fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    decimal.fraction.insert(0, 1, decimal.whole.empty() ? '0' : decimal.whole.back());
    if (!decimal.whole.empty()) decimal.whole.pop_back();
  }
  decimal.whole.erase(0, decimal.whole.find_first_not_of('0'));
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.whole.size() > kMaxDigits || decimal.fraction.size() > kMaxDigits) {
    return absl::InvalidArgumentError(
        absl::StrCat("a number with more than ", kMaxDigits, " digits"));
  }
  if (decimal.IsZero()) decimal.negative = false;
  return decimal;
}

int Decimal::Compare(const Decimal& other) const {
  if (negative != other.negative) return negative ? -1 : 1;
  return negative ? CompareMagnitudes(other, *this) : CompareMagnitudes(*this, other);
}

absl::Status CheckMultipleOf(uint32_t divisor, CompileBudget& budget) {
  if (divisor <= Multiples::kMostStates) return absl::OkStatus();
  return Multiples::Of(divisor, budget).status();
}

absl::StatusOr<SharedText> NumberText(const NumberRange& range, CompileBudget& budget) {
  if (range.low || range.high || range.multiple_of != 1) return NumberBuilder(range, budget).Make();
  // Most numbers have no bounds; one automaton serves them all, and so do the masks kept for it.
  static const std::array<SharedText, 2> unbounded = [] {
    CompileBudget own;
    return std::array<SharedText, 2>{TextDfa::Keep(**NumberBuilder({.integer = false}, own).Make()),
                                     TextDfa::Keep(**NumberBuilder({.integer = true}, own).Make())};
  }();
  return unbounded[range.integer];
}

}  // namespace hearth
