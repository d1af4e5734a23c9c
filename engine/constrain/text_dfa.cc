#include "engine/constrain/text_dfa.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// Gathers ranges into symbols by what distinguishes them.
class SymbolTable {
 public:
  // False when there are too many.
  bool Add(char32_t start, const std::vector<uint32_t>& signature, Alphabet& alphabet) {
    const auto [at, added] = symbols_.emplace(signature, symbols_.size());
    if (at->second > std::numeric_limits<uint16_t>::max()) return false;
    if (alphabet.starts.empty() || alphabet.symbols.back() != at->second) {
      alphabet.starts.push_back(start);
      alphabet.symbols.push_back(static_cast<uint16_t>(at->second));
    }
    alphabet.size = static_cast<uint32_t>(symbols_.size());
    return true;
  }

 private:
  absl::flat_hash_map<std::vector<uint32_t>, size_t> symbols_;
};

absl::Status TooManySymbols() {
  return absl::InvalidArgumentError("too complex: it tells too many characters apart");
}

// With more, a table tells the symbols of characters.
constexpr size_t kFewRanges = 64;
constexpr size_t kPlane = 0x10000;
constexpr size_t kPage = 0x100;

// Edges backwards, as lists in one array: next[i] is s for i in edges[starts[s] .. starts[s + 1]).
struct Backwards {
  std::vector<uint32_t> starts, edges;

  Backwards(size_t states, const std::vector<uint32_t>& next)
      : starts(states + 1), edges(next.size()) {
    for (const uint32_t target : next) {
      if (target != TextDfa::kDead) ++starts[target];
    }
    uint32_t sum = 0;
    for (uint32_t& start : starts) start = sum += start;
    for (size_t i = next.size(); i-- > 0;) {
      if (next[i] != TextDfa::kDead) edges[--starts[next[i]]] = static_cast<uint32_t>(i);
    }
  }
};

// By state: whether an accepting one can be reached.
std::vector<bool> FindLive(const TextTable& table) {
  const size_t states = table.accepts.size();
  const Backwards backwards(states, table.next);
  std::vector<bool> live = table.accepts;
  std::vector<uint32_t> pending;
  for (uint32_t s = 0; s < states; ++s) {
    if (live[s]) pending.push_back(s);
  }
  while (!pending.empty()) {
    const uint32_t s = pending.back();
    pending.pop_back();
    for (uint32_t i = backwards.starts[s]; i < backwards.starts[s + 1]; ++i) {
      const uint32_t source = backwards.edges[i] / table.alphabet.size;
      if (live[source]) continue;
      live[source] = true;
      pending.push_back(source);
    }
  }
  return live;
}

// States gathered into classes, in each of which the same texts of up to some length lead on, and
// end. Each round tells apart what texts of one more character do; only states that lead to some
// that were told apart in the round before need a look, as all others of a class stay together.
class Refinement {
 public:
  Refinement(const std::vector<uint32_t>& next, uint32_t symbols,
             const std::vector<uint8_t>& accepts)
      : next_(next), symbols_(symbols), classes_(accepts.begin(), accepts.end()), sizes_(2) {
    for (uint32_t s = 0; s < classes_.size(); ++s) {
      ++sizes_[classes_[s]];
      touched_.push_back(s);
    }
    rows_left_ = classes_.size() > kMostStates ? 0 : 16 * classes_.size() + 1024;
  }

  // False when that takes too much work. The edges are Backwards'.
  bool Refine(absl::Span<const uint32_t> starts, absl::Span<const uint32_t> edges) {
    if (touched_.size() > rows_left_) return false;
    rows_left_ -= touched_.size();
    // By class, and in it by what they lead to.
    std::map<std::vector<uint32_t>, std::vector<uint32_t>> groups;
    for (const uint32_t s : touched_) groups[RowOf(s)].push_back(s);
    std::vector<uint32_t> changed;
    for (auto first = groups.begin(); first != groups.end();) {
      const uint32_t old = first->first[0];
      size_t all = 0;
      auto end = first, largest = first;
      for (; end != groups.end() && end->first[0] == old; ++end) {
        all += end->second.size();
        if (end->second.size() > largest->second.size()) largest = end;
      }
      // The class remains that of those that were not looked at, or of most.
      const bool others = all < sizes_[old];
      for (; first != end; ++first) {
        if (others || first != largest) Split(old, first->second, changed);
      }
    }
    touched_.clear();
    for (const uint32_t s : changed) {
      for (uint32_t i = starts[s]; i < starts[s + 1]; ++i) touched_.push_back(edges[i] / symbols_);
    }
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    return true;
  }

  // By state: the first of its class.
  std::vector<uint32_t> Representatives() && {
    std::vector<uint32_t> firsts(sizes_.size(), TextDfa::kDead);
    for (uint32_t s = 0; s < classes_.size(); ++s) {
      uint32_t& first = firsts[classes_[s]];
      classes_[s] = first = std::min(first, s);
    }
    return std::move(classes_);
  }

 private:
  static constexpr size_t kMostStates = 8192;

  std::vector<uint32_t> RowOf(uint32_t state) const {
    std::vector<uint32_t> row = {classes_[state]};
    row.reserve(symbols_ + 1);
    for (uint32_t symbol = 0; symbol < symbols_; ++symbol) {
      const uint32_t to = next_[static_cast<size_t>(state) * symbols_ + symbol];
      row.push_back(to == TextDfa::kDead ? to : classes_[to]);
    }
    return row;
  }

  void Split(uint32_t old, const std::vector<uint32_t>& group, std::vector<uint32_t>& changed) {
    for (const uint32_t s : group) classes_[s] = static_cast<uint32_t>(sizes_.size());
    sizes_[old] -= group.size();
    sizes_.push_back(group.size());
    changed.insert(changed.end(), group.begin(), group.end());
  }

  const std::vector<uint32_t>& next_;
  const uint32_t symbols_;
  std::vector<uint32_t> classes_;  // by state
  std::vector<size_t> sizes_;      // by class
  std::vector<uint32_t> touched_;
  size_t rows_left_;
};

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

absl::StatusOr<Alphabet> Alphabet::Of(absl::Span<const CharSet> sets, CompileBudget& budget) {
  // Where ranges begin and end: (first character concerned, set).
  std::vector<std::pair<char32_t, uint32_t>> edges;
  for (uint32_t set = 0; set < sets.size(); ++set) {
    for (const CharRange& range : sets[set].ranges()) {
      edges.push_back({range.low, set});
      if (range.high < kLastChar) edges.push_back({range.high + 1, set});
    }
  }
  std::sort(edges.begin(), edges.end());
  Alphabet alphabet{{}, {}, 0};
  SymbolTable symbols;
  std::vector<uint32_t> inside;  // the sets that the range is in, ascending
  char32_t start = 0;
  for (size_t i = 0; i <= edges.size(); ++i) {
    // Places are found by halving, but what comes behind them is moved.
    HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(inside.size()) / 16 + 1));
    if (i == edges.size() || edges[i].first != start) {
      HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(inside.size()) + 4));
      if (!symbols.Add(start, inside, alphabet)) return TooManySymbols();
      if (i == edges.size()) break;
      start = edges[i].first;
    }
    const auto at = std::lower_bound(inside.begin(), inside.end(), edges[i].second);
    if (at != inside.end() && *at == edges[i].second) {
      inside.erase(at);
    } else {
      inside.insert(at, edges[i].second);
    }
  }
  return alphabet;
}

size_t Alphabet::RangeOf(char32_t code) const {
  return static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), code) -
                             starts.begin()) -
         1;
}

TextDfa TextDfa::AnyText(uint32_t min, uint32_t max) {
  HEARTH_CHECK(min <= max);
  TextDfa any;
  any.counted_ = true;
  any.min_ = min;
  any.max_ = max;
  return any;
}

SharedText TextDfa::Keep(TextDfa text) {
  text.kept_ = true;
  return std::make_shared<const TextDfa>(std::move(text));
}

size_t TextDfa::bytes() const {
  if (kept_) return 0;
  return sizeof(*this) + alphabet_.starts.size() * sizeof(char32_t) +
         (alphabet_.symbols.size() + pages_.size()) * sizeof(uint16_t) + page_of_.size() +
         next_.size() * sizeof(uint32_t) + accepts_.size() +
         runs_.size() * sizeof(std::array<uint8_t, kCharClasses>) +
         representatives_.size() * sizeof(uint32_t);
}

int64_t TextDfa::PlaneBytes(const Alphabet& alphabet) {
  if (alphabet.starts.size() <= kFewRanges) return 0;
  // Pages in which a range begins may all differ; the others have one symbol each.
  size_t pages = alphabet.size, last = SIZE_MAX;
  for (const char32_t start : alphabet.starts) {
    if (start >= kPlane) break;
    if (start % kPage != 0 && start / kPage != last) ++pages;
    last = start / kPage;
  }
  return static_cast<int64_t>(std::min(pages, kPlane / kPage) * kPage * sizeof(uint16_t));
}

void TextDfa::MakePages() {
  std::vector<uint16_t> plane;
  for (size_t i = 0; plane.size() < kPlane; ++i) {
    const size_t end = i + 1 < alphabet_.starts.size() ? alphabet_.starts[i + 1] : kPlane;
    plane.resize(std::min(end, kPlane), alphabet_.symbols[i]);
  }
  std::map<std::vector<uint16_t>, uint8_t> known;
  for (auto at = plane.begin(); at != plane.end(); at += kPage) {
    const auto [page, added] =
        known.emplace(std::vector<uint16_t>(at, at + kPage), pages_.size() / kPage);
    if (added) pages_.insert(pages_.end(), at, at + kPage);
    page_of_.push_back(page->second);
  }
  pages_.shrink_to_fit();
}

TextDfa::TextDfa(const TextTable& table) : id_(NextId()), alphabet_(table.alphabet) {
  const std::vector<bool> live = FindLive(table);
  if (live.empty() || !live[0]) return;
  std::vector<uint32_t> renumbered(live.size(), kDead);
  for (uint32_t s = 0; s < live.size(); ++s) {
    if (!live[s]) continue;
    renumbered[s] = static_cast<uint32_t>(accepts_.size());
    accepts_.push_back(table.accepts[s]);
  }
  const uint32_t symbols = alphabet_.size;
  next_.reserve(accepts_.size() * symbols);
  for (size_t i = 0; i < table.next.size(); ++i) {
    if (!live[i / symbols]) continue;
    next_.push_back(table.next[i] == kDead ? kDead : renumbered[table.next[i]]);
  }
  if (alphabet_.starts.size() > kFewRanges) MakePages();
  for (char32_t code = 0; code < 128; ++code) {
    ascii_[code] = static_cast<uint16_t>(SymbolOf(code));
  }
  const Backwards backwards(accepts_.size(), next_);
  FindRuns(backwards.starts, backwards.edges);
  FindRepresentatives(backwards.starts, backwards.edges);
}

void TextDfa::FindRuns(absl::Span<const uint32_t> starts, absl::Span<const uint32_t> edges) {
  runs_.assign(accepts_.size(), {});
  for (int k = 0; k < kCharClasses; ++k) FindRun(static_cast<CharClass>(k), starts, edges);
}

void TextDfa::FindRepresentatives(absl::Span<const uint32_t> starts,
                                  absl::Span<const uint32_t> edges) {
  Refinement refinement(next_, alphabet_.size, accepts_);
  for (uint32_t length = 0; length < kHorizon; ++length) {
    if (!refinement.Refine(starts, edges)) return;
  }
  representatives_ = std::move(refinement).Representatives();
}

// The distance to death: states that a character of the class kills have none, those that can get
// to such a state in n characters have n.
void TextDfa::FindRun(CharClass char_class, absl::Span<const uint32_t> starts,
                      absl::Span<const uint32_t> edges) {
  std::vector<bool>& has = has_[char_class];
  has.resize(alphabet_.size);
  for (size_t i = 0; i < alphabet_.starts.size(); ++i) {
    const char32_t end = i + 1 < alphabet_.starts.size() ? alphabet_.starts[i + 1] - 1 : kLastChar;
    if (CharsOf(char_class).Intersects(alphabet_.starts[i], end)) has[alphabet_.symbols[i]] = true;
  }
  const auto dies = [&](uint32_t from) {
    for (uint32_t symbol = 0; symbol < alphabet_.size; ++symbol) {
      if (has[symbol] && NextOfSymbol(from, symbol) == kDead) return true;
    }
    return false;
  };
  std::vector<uint32_t> frontier, reached;
  for (uint32_t s = 0; s < states(); ++s) {
    runs_[s][char_class] = 255;
    if (!dies(s)) continue;
    runs_[s][char_class] = 0;
    frontier.push_back(s);
  }
  for (uint8_t run = 1; run < 255 && !frontier.empty(); ++run) {
    reached.clear();
    for (const uint32_t to : frontier) {
      for (uint32_t i = starts[to]; i < starts[to + 1]; ++i) {
        const uint32_t from = edges[i] / alphabet_.size;
        if (runs_[from][char_class] != 255 || !has[edges[i] % alphabet_.size]) continue;
        runs_[from][char_class] = run;
        reached.push_back(from);
      }
    }
    frontier.swap(reached);
  }
}

bool TextDfa::IsRunAll(uint32_t state, CharClass char_class, uint64_t& work) const {
  if (counted_) return max_ != kUnbounded && max_ - state < 255;
  constexpr size_t kFew = 8;
  constexpr uint32_t kFewSymbols = 256;
  if (alphabet_.size > kFewSymbols) return false;
  // The states that some text of the class leads to, one character after the other.
  std::vector<uint32_t> from = {state}, to;
  for (int length = Run(state, char_class); length >= 0; --length) {
    to.clear();
    for (const uint32_t source : from) {
      work += alphabet_.size;
      for (uint32_t symbol = 0; symbol < alphabet_.size; ++symbol) {
        const uint32_t next = NextOfSymbol(source, symbol);
        if (!has_[char_class][symbol] || next == kDead) continue;
        if (std::find(to.begin(), to.end(), next) == to.end()) to.push_back(next);
        if (to.size() > kFew) return false;
      }
    }
    from.swap(to);
  }
  return from.empty();
}

bool TextDfa::Allows(uint32_t state, char32_t low, char32_t high) const {
  if (counted_) return NextCount(state) != kDead;
  for (size_t i = alphabet_.RangeOf(low);
       i < alphabet_.starts.size() && alphabet_.starts[i] <= high; ++i) {
    if (NextOfSymbol(state, alphabet_.symbols[i]) != kDead) return true;
  }
  return false;
}

bool TextDfa::AcceptsText(std::string_view utf8) const {
  if (empty()) return false;
  uint32_t state = kStart;
  while (!utf8.empty()) {
    const Utf8Char next = FirstUtf8Char(utf8);
    if (next.kind != Utf8Char::kWhole) return false;
    state = Next(state, next.code);
    if (state == kDead) return false;
    utf8.remove_prefix(next.length);
  }
  return Accepts(state);
}

std::pair<uint64_t, uint64_t> TextDfa::Key(uint32_t state, uint32_t horizon) const {
  if (!counted_) return {id_, state};
  const uint32_t wanted = state < min_ ? std::min(min_ - state, horizon) : 0;
  const uint32_t left = max_ == kUnbounded ? horizon : std::min(max_ - state, horizon);
  return {0, uint64_t{wanted} << 32 | left};
}

namespace {

// The product of several automata and a counter of characters, as far as it is reached.
class Product {
 public:
  Product(absl::Span<const SharedText> all, absl::Span<const SharedText> none, uint32_t min,
          uint32_t max, CompileBudget& budget)
      : all_(all.size()), min_(min), max_(max), budget_(budget) {
    parts_.assign(all.begin(), all.end());
    parts_.insert(parts_.end(), none.begin(), none.end());
  }

  absl::StatusOr<SharedText> Make() {
    HEARTH_RETURN_IF_ERROR(MakeAlphabet());
    const int64_t plane = TextDfa::PlaneBytes(table_.alphabet);
    HEARTH_RETURN_IF_ERROR(budget_.Spend(plane / 4, plane));
    const uint32_t symbols = table_.alphabet.size;
    HEARTH_RETURN_IF_ERROR(
        Number(std::vector<uint32_t>(parts_.size() + 1, TextDfa::kStart)).status());
    for (size_t s = 0; s < states_.size(); ++s) {
      HEARTH_RETURN_IF_ERROR(
          budget_.Spend((symbols + 10) * (int64_t(parts_.size()) + 4), symbols * 12 + 64));
      table_.accepts.push_back(Accepts(states_[s]));
      for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
        HEARTH_ASSIGN_OR_RETURN(const uint32_t next, Next(states_[s], symbol));
        table_.next.push_back(next);
      }
    }
    return std::make_shared<const TextDfa>(table_);
  }

 private:
  // A state of each part, then the number of characters, as far as it matters.
  using State = std::vector<uint32_t>;

  absl::Status MakeAlphabet() {
    Alphabet& alphabet = table_.alphabet;
    alphabet = {{}, {}, 0};
    std::vector<char32_t> starts;
    for (const SharedText& part : parts_) {
      starts.insert(starts.end(), part->alphabet().starts.begin(), part->alphabet().starts.end());
    }
    starts.push_back(0);
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    SymbolTable symbols;
    std::vector<uint32_t> signature(parts_.size());
    for (const char32_t start : starts) {
      HEARTH_RETURN_IF_ERROR(budget_.Spend(8 * (int64_t(parts_.size()) + 1)));
      for (size_t i = 0; i < parts_.size(); ++i) {
        const Alphabet& part = parts_[i]->alphabet();
        signature[i] = part.symbols[part.RangeOf(start)];
      }
      if (!symbols.Add(start, signature, alphabet)) return TooManySymbols();
      if (symbols_of_.size() < alphabet.size) symbols_of_.push_back(signature);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> Number(State state) {
    const auto [at, added] = numbers_.emplace(std::move(state), states_.size());
    if (!added) return at->second;
    HEARTH_RETURN_IF_ERROR(
        budget_.Spend(16, static_cast<int64_t>(2 * (at->first.size() * sizeof(uint32_t) + 32))));
    states_.push_back(at->first);
    return at->second;
  }

  bool Accepts(const State& state) const {
    if (state.back() < min_) return false;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const bool accepts = state[i] != TextDfa::kDead && parts_[i]->Accepts(state[i]);
      if (accepts != (i < all_)) return false;
    }
    return true;
  }

  absl::StatusOr<uint32_t> Next(const State& from, uint32_t symbol) {
    State to(from.size());
    for (size_t i = 0; i < parts_.size(); ++i) {
      to[i] = from[i] == TextDfa::kDead ? TextDfa::kDead
                                        : parts_[i]->NextOfSymbol(from[i], symbols_of_[symbol][i]);
      if (i < all_ && to[i] == TextDfa::kDead) return TextDfa::kDead;
    }
    const uint32_t count = from.back();
    if (max_ != TextDfa::kUnbounded) {
      if (count == max_) return TextDfa::kDead;
      to.back() = count + 1;
    } else {
      to.back() = std::min(count + 1, min_);
    }
    return Number(std::move(to));
  }

  std::vector<SharedText> parts_;
  const size_t all_;  // so many of the parts must accept, the others must not
  const uint32_t min_, max_;
  CompileBudget& budget_;
  TextTable table_;
  std::vector<std::vector<uint32_t>> symbols_of_;  // by symbol: each part's symbol
  std::vector<State> states_;
  absl::flat_hash_map<State, uint32_t> numbers_;
};

}  // namespace

absl::StatusOr<bool> AllAccept(absl::Span<const SharedText> all, std::string_view utf8,
                               CompileBudget& budget) {
  for (const SharedText& text : all) {
    HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(utf8.size()) + 1));
    if (!text->AcceptsText(utf8)) return false;
  }
  return true;
}

absl::StatusOr<SharedText> OneOfTexts(absl::Span<const std::string> texts, CompileBudget& budget) {
  // The characters that occur are a symbol each, and all others one together.
  std::vector<std::u32string> decoded;
  std::vector<CharRange> chars;
  for (std::string_view rest : texts) {
    HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(rest.size()) * 16,
                                        static_cast<int64_t>(rest.size()) * 12));
    for (decoded.emplace_back(); !rest.empty();) {
      const Utf8Char next = FirstUtf8Char(rest);
      HEARTH_CHECK(next.kind == Utf8Char::kWhole);
      decoded.back().push_back(next.code);
      chars.push_back({next.code, next.code});
      rest.remove_prefix(next.length);
    }
  }
  const CharSet occurring = CharSet::Of(std::move(chars));
  std::vector<CharSet> sets;
  for (const CharRange& range : occurring.ranges()) {
    HEARTH_RETURN_IF_ERROR(budget.Spend(0, int64_t{64} * (range.high - range.low + 1)));
    for (char32_t code = range.low; code <= range.high; ++code) sets.push_back({{code, code}});
  }
  TextTable table;
  HEARTH_ASSIGN_OR_RETURN(table.alphabet, Alphabet::Of(sets, budget));
  const uint32_t symbols = table.alphabet.size;
  const auto add_state = [&] {
    table.accepts.push_back(false);
    table.next.resize(table.next.size() + symbols, TextDfa::kDead);
    return budget.Spend(symbols * 6, symbols * 12 + 64);
  };
  HEARTH_RETURN_IF_ERROR(add_state());
  for (const std::u32string& text : decoded) {
    uint32_t state = 0;
    for (const char32_t code : text) {
      const size_t edge = static_cast<size_t>(state) * symbols +
                          table.alphabet.symbols[table.alphabet.RangeOf(code)];
      if (table.next[edge] == TextDfa::kDead) {
        table.next[edge] = static_cast<uint32_t>(table.accepts.size());
        HEARTH_RETURN_IF_ERROR(add_state());
      }
      state = table.next[edge];
    }
    table.accepts[state] = true;
  }
  return std::make_shared<const TextDfa>(table);
}

absl::StatusOr<SharedText> Intersect(absl::Span<const SharedText> all,
                                     absl::Span<const SharedText> none, uint32_t min, uint32_t max,
                                     CompileBudget& budget) {
  std::vector<SharedText> tables;
  for (const SharedText& part : all) {
    if (part->counted()) {
      min = std::max(min, part->min());
      max = std::min(max, part->max());
    } else {
      tables.push_back(part);
    }
    if (part->empty()) return part;
  }
  std::vector<SharedText> excluded;
  for (const SharedText& part : none) {
    HEARTH_CHECK(!part->counted());
    if (!part->empty()) excluded.push_back(part);
  }
  if (min > max) return std::make_shared<const TextDfa>(TextTable{});
  const bool any_length = min == 0 && max == TextDfa::kUnbounded;
  if (excluded.empty() && tables.empty()) {
    return std::make_shared<const TextDfa>(TextDfa::AnyText(min, max));
  }
  if (excluded.empty() && tables.size() == 1 && any_length) return tables[0];
  return Product(tables, excluded, min, max, budget).Make();
}

}  // namespace hearth
