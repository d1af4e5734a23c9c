// Deterministic automata over characters: which texts a pattern, a format, a length, a range of
// numbers allows. Immutable; safe from any thread.
#ifndef HEARTH_ENGINE_CONSTRAIN_TEXT_DFA_H_
#define HEARTH_ENGINE_CONSTRAIN_TEXT_DFA_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/constrain/char_set.h"
#include "engine/constrain/compile_budget.h"

namespace hearth {

// The characters cut into ranges, and the ranges gathered into symbols that no state tells apart.
struct Alphabet {
  std::vector<char32_t> starts = {0};   // of the ranges; ascending, the first is 0
  std::vector<uint16_t> symbols = {0};  // by range
  uint32_t size = 1;                    // how many symbols

  // The coarsest that tells members of each set from the others.
  static absl::StatusOr<Alphabet> Of(absl::Span<const CharSet> sets, CompileBudget& budget);
  size_t RangeOf(char32_t code) const;
};

// An automaton as it is being made. State 0 is the start; `next` has a row of alphabet.size
// states for each state.
struct TextTable {
  Alphabet alphabet;
  std::vector<uint32_t> next;
  std::vector<bool> accepts;
};

class TextDfa;
using SharedText = std::shared_ptr<const TextDfa>;

// From every state an accepted text can be reached: what cannot be completed is dead.
class TextDfa {
 public:
  static constexpr uint32_t kDead = UINT32_MAX;
  static constexpr uint32_t kUnbounded = UINT32_MAX;
  // As many characters as the longest tokens of today's vocabularies have: runs of spaces.
  static constexpr uint32_t kHorizon = 128;

  // Every text of min to max characters; takes no memory. REQUIRES: min <= max.
  static TextDfa AnyText(uint32_t min, uint32_t max);
  explicit TextDfa(const TextTable& table);
  // One that lives as long as the process, however many constraints there are with it.
  static SharedText Keep(TextDfa text);
  // What an automaton over it takes beyond its states, for budgets.
  static int64_t PlaneBytes(const Alphabet& alphabet);

  // No text at all; then there is no state.
  bool empty() const { return !counted_ && accepts_.empty(); }
  static constexpr uint32_t kStart = 0;

  // kDead where no accepted text goes on with `code`, a scalar value.
  uint32_t Next(uint32_t state, char32_t code) const {
    if (counted_) return NextCount(state);
    const uint32_t symbol = code < 128 ? ascii_[code] : SymbolOf(code);
    return next_[static_cast<size_t>(state) * alphabet_.size + symbol];
  }
  bool Accepts(uint32_t state) const { return counted_ ? state >= min_ : accepts_[state]; }
  // Whether some character from low to high leads on. REQUIRES: not all of them are surrogates.
  bool Allows(uint32_t state, char32_t low, char32_t high) const;
  // Whether any character leads on.
  bool GoesOn(uint32_t state) const {
    if (counted_) return state < max_;
    const auto row = next_.begin() + static_cast<ptrdiff_t>(state) * alphabet_.size;
    return std::any_of(row, row + alphabet_.size, [](uint32_t to) { return to != kDead; });
  }
  // So many characters of the class, whichever they are, lead to no dead state; at most 255.
  uint8_t Run(uint32_t state, CharClass char_class) const {
    if (!counted_) return runs_[state][char_class];
    return max_ == kUnbounded ? 255 : static_cast<uint8_t>(std::min(max_ - state, 255u));
  }
  // Whether more characters of the class than Run says are dead, whichever they are. May say no
  // where it is so. Adds what it looked at to `work`.
  bool IsRunAll(uint32_t state, CharClass char_class, uint64_t& work) const;
  bool AcceptsText(std::string_view utf8) const;

  // A state in which the same texts of up to `horizon` characters lead on, and end; of many such
  // states usually the same.
  uint32_t Representative(uint32_t state, uint32_t horizon) const {
    return horizon <= kHorizon && !representatives_.empty() ? representatives_[state] : state;
  }
  // Equal keys mean that the same texts of up to `horizon` characters lead on, and end, there.
  std::pair<uint64_t, uint64_t> Key(uint32_t state, uint32_t horizon) const;

  size_t bytes() const;  // of memory; none for what the process keeps

  bool counted() const { return counted_; }
  uint32_t min() const { return min_; }
  uint32_t max() const { return max_; }
  const Alphabet& alphabet() const { return alphabet_; }
  uint32_t states() const { return static_cast<uint32_t>(accepts_.size()); }
  uint32_t NextOfSymbol(uint32_t state, uint32_t symbol) const {
    return next_[static_cast<size_t>(state) * alphabet_.size + symbol];
  }

 private:
  TextDfa() = default;
  uint32_t NextCount(uint32_t state) const {
    if (max_ == kUnbounded) return state < min_ ? state + 1 : state;
    return state < max_ ? state + 1 : kDead;
  }
  uint32_t SymbolOf(char32_t code) const {
    if (code >> 8 >= page_of_.size()) return alphabet_.symbols[alphabet_.RangeOf(code)];
    return pages_[static_cast<size_t>(page_of_[code >> 8]) << 8 | (code & 0xFF)];
  }
  void MakePages();
  void FindRepresentatives(absl::Span<const uint32_t> starts, absl::Span<const uint32_t> edges);
  void FindRuns(absl::Span<const uint32_t> starts, absl::Span<const uint32_t> edges);
  void FindRun(CharClass char_class, absl::Span<const uint32_t> starts,
               absl::Span<const uint32_t> edges);

  uint64_t id_ = 0;  // of this automaton, in this process
  bool counted_ = false;
  bool kept_ = false;
  uint32_t min_ = 0, max_ = kUnbounded;  // counted: a state is the number of characters so far
  Alphabet alphabet_;
  std::array<uint16_t, 128> ascii_{};
  // Symbols of U+0000 to U+FFFF, where there are many ranges: pages of 256 characters each, of
  // which many are alike.
  std::vector<uint16_t> pages_;
  std::vector<uint8_t> page_of_;  // by the character's upper byte
  // By class and symbol: whether they have a character in common.
  std::array<std::vector<bool>, kCharClasses> has_;
  std::vector<uint32_t> next_;
  std::vector<uint8_t> accepts_;
  std::vector<std::array<uint8_t, kCharClasses>> runs_;
  std::vector<uint32_t> representatives_;  // by state; empty: each is its own
};

// Whether all of them accept it.
absl::StatusOr<bool> AllAccept(absl::Span<const SharedText> all, std::string_view utf8,
                               CompileBudget& budget);

// These texts and no others. REQUIRES: they are UTF-8.
absl::StatusOr<SharedText> OneOfTexts(absl::Span<const std::string> texts, CompileBudget& budget);

// What all of `all` and none of `none` accept, of min to max characters. REQUIRES: none of `none`
// is counted.
absl::StatusOr<SharedText> Intersect(absl::Span<const SharedText> all,
                                     absl::Span<const SharedText> none, uint32_t min, uint32_t max,
                                     CompileBudget& budget);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_TEXT_DFA_H_
