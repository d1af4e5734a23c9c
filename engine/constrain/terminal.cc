#include "engine/constrain/terminal.h"

#include <algorithm>

namespace hearth {
namespace {

// State::partial: what is being read, how many of its bytes or digits are there, and the bits they
// amount to.
enum Phase : uint32_t {
  kBetween,       // characters
  kUnopened,      // the opening quote comes next
  kUtf8,          // count: continuation bytes still to come, and above them the length
  kEscape,        // after the backslash
  kHex,           // \u and count digits
  kHighRead,      // \uD8xx to \uDBxx; a backslash comes next
  kHighEscape,    // and a 'u'
  kLowSurrogate,  // and count digits; the bits hold both halves
};

constexpr uint32_t Pack(Phase phase, uint32_t count, uint32_t bits) {
  return phase << 28 | count << 24 | bits;
}
constexpr Phase PhaseOf(uint32_t partial) { return static_cast<Phase>(partial >> 28); }
constexpr uint32_t CountOf(uint32_t partial) { return partial >> 24 & 15; }
constexpr uint32_t BitsOf(uint32_t partial) { return partial & 0xFFFFFF; }

int HexValue(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

// Whether a character from low to high, which may be surrogates in part, leads on.
bool AllowsScalar(const TextDfa& text, uint32_t state, char32_t low, char32_t high) {
  if (low < 0xD800 && text.Allows(state, low, std::min<char32_t>(high, 0xD7FF))) return true;
  return high > 0xDFFF && text.Allows(state, std::max<char32_t>(low, 0xE000), high);
}

}  // namespace

Terminal::State Terminal::start() const {
  const uint32_t partial = spelling_ == Spelling::kJsonString ? Pack(kUnopened, 0, 0) : 0;
  return {TextDfa::kStart, partial};
}

bool Terminal::IsUnopened(State state) const { return PhaseOf(state.partial) == kUnopened; }

Terminal::Step Terminal::Finish(State& state, char32_t code) const {
  state.text = text_->Next(state.text, code);
  state.partial = 0;
  return state.text == TextDfa::kDead ? Step::kDead : Step::kAlive;
}

Terminal::Step Terminal::AdvanceSlow(State& state, uint8_t byte, bool whole_chars) const {
  switch (PhaseOf(state.partial)) {
    case kBetween:
      break;
    case kUnopened:
      state.partial = 0;
      return byte == '"' ? Step::kAlive : Step::kDead;
    case kUtf8:
      return ContinueUtf8(state, byte, whole_chars);
    case kEscape:
      return StartEscape(state, byte);
    case kHex:
      return AddHexDigit(state, byte);
    case kHighRead:
      state.partial = Pack(kHighEscape, 0, BitsOf(state.partial));
      return byte == '\\' ? Step::kAlive : Step::kDead;
    case kHighEscape:
      state.partial = Pack(kLowSurrogate, 0, BitsOf(state.partial));
      return byte == 'u' ? Step::kAlive : Step::kDead;
    case kLowSurrogate:
      return AddLowSurrogate(state, byte);
  }
  if (byte >= 0x80) return StartUtf8(state, byte);
  if (spelling_ == Spelling::kUtf8) return Finish(state, byte);
  if (byte == '"') return text_->Accepts(state.text) ? Step::kClosed : Step::kDead;
  if (byte != '\\') return Step::kDead;  // a control character
  state.partial = Pack(kEscape, 0, 0);
  return text_->Allows(state.text, 0, kLastChar) ? Step::kAlive : Step::kDead;
}

Terminal::Step Terminal::StartUtf8(State& state, uint8_t byte) const {
  if (byte < 0xC2 || byte > 0xF4) return Step::kDead;
  const uint32_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  state.partial = Pack(kUtf8, (length - 1) << 2 | (length - 1), byte & (0x3Fu >> (length - 1)));
  const uint32_t rest = 6 * (length - 1);
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  const char32_t low = std::max<char32_t>(BitsOf(state.partial) << rest, kLeast[length - 1]);
  const char32_t high = (BitsOf(state.partial) << rest) | ((1u << rest) - 1);
  if (!AllowsScalar(*text_, state.text, low, std::min(high, kLastChar))) return Step::kDead;
  return Step::kAlive;
}

Terminal::Step Terminal::ContinueUtf8(State& state, uint8_t byte, bool whole_chars) const {
  if (byte < 0x80 || byte > 0xBF) return Step::kDead;
  const uint32_t trailing = CountOf(state.partial) >> 2;  // of the whole character
  const uint32_t left = (CountOf(state.partial) & 3) - 1;
  const uint32_t bits = BitsOf(state.partial) << 6 | (byte & 0x3F);
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  const char32_t low = std::max<char32_t>(bits << (6 * left), kLeast[trailing]);
  const char32_t high =
      std::min<char32_t>((bits << (6 * left)) | ((1u << (6 * left)) - 1), kLastChar);
  // Overlong forms, surrogates and what lies above the last character leave no range.
  if (low > high || (low >= 0xD800 && high <= 0xDFFF)) return Step::kDead;
  if (left == 0) return Finish(state, bits);
  state.partial = Pack(kUtf8, trailing << 2 | left, bits);
  if (whole_chars) return Step::kAlive;
  return AllowsScalar(*text_, state.text, low, high) ? Step::kAlive : Step::kDead;
}

Terminal::Step Terminal::StartEscape(State& state, uint8_t byte) const {
  switch (byte) {
    case '"':
    case '\\':
    case '/':
      return Finish(state, byte);
    case 'b':
      return Finish(state, '\b');
    case 'f':
      return Finish(state, '\f');
    case 'n':
      return Finish(state, '\n');
    case 'r':
      return Finish(state, '\r');
    case 't':
      return Finish(state, '\t');
    case 'u':
      state.partial = Pack(kHex, 0, 0);
      return Step::kAlive;  // every character has this form
    default:
      return Step::kDead;
  }
}

Terminal::Step Terminal::AddHexDigit(State& state, uint8_t byte) const {
  const int digit = HexValue(byte);
  if (digit < 0) return Step::kDead;
  const uint32_t left = 3 - CountOf(state.partial);  // digits still to come
  const uint32_t bits = BitsOf(state.partial) << 4 | static_cast<uint32_t>(digit);
  const char32_t low = bits << (4 * left);
  const char32_t high = low | ((1u << (4 * left)) - 1);
  if (left == 0 && !IsSurrogate(bits)) return Finish(state, bits);
  bool allowed = AllowsScalar(*text_, state.text, low, high);
  // High surrogates D800 to DBFF stand for 1,024 characters each.
  const char32_t first = std::max<char32_t>(low, 0xD800);
  const char32_t last = std::min<char32_t>(high, 0xDBFF);
  if (first <= last && !allowed) {
    allowed = text_->Allows(state.text, 0x10000 + ((first - 0xD800) << 10),
                            0x10000 + ((last - 0xD800) << 10) + 0x3FF);
  }
  state.partial = left > 0 ? Pack(kHex, 4 - left, bits) : Pack(kHighRead, 0, bits - 0xD800);
  return allowed ? Step::kAlive : Step::kDead;
}

Terminal::Step Terminal::AddLowSurrogate(State& state, uint8_t byte) const {
  const int digit = HexValue(byte);
  if (digit < 0) return Step::kDead;
  // Low surrogates are DC00 to DFFF: D, then C to F, of which two bits count.
  const uint32_t count = CountOf(state.partial);
  if (count == 0) {
    state.partial = Pack(kLowSurrogate, 1, BitsOf(state.partial));
    return digit == 0xD ? Step::kAlive : Step::kDead;
  }
  if (count == 1 && digit < 0xC) return Step::kDead;
  const uint32_t bits = count == 1 ? BitsOf(state.partial) << 2 | (digit & 3)
                                   : BitsOf(state.partial) << 4 | static_cast<uint32_t>(digit);
  const uint32_t left = 4 * (3 - count);
  const char32_t low = 0x10000 + (bits << left);
  if (left == 0) return Finish(state, low);
  state.partial = Pack(kLowSurrogate, count + 1, bits);
  return text_->Allows(state.text, low, low | ((1u << left) - 1)) ? Step::kAlive : Step::kDead;
}

}  // namespace hearth
