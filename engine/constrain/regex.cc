#include "engine/constrain/regex.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/constrain/regex_syntax.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// Thompson's construction, backwards: each part is built knowing what comes after it.
struct NfaState {
  enum Kind : uint8_t { kChars, kSplit, kTextStart, kTextEnd, kMatch };
  Kind kind;
  uint32_t set = 0;
  uint32_t next = 0;
  uint32_t other = 0;  // kSplit
};

class NfaBuilder {
 public:
  NfaBuilder(const RegexSyntax& syntax, CompileBudget& budget) : syntax_(syntax), budget_(budget) {}

  // `any` is the set of all characters. Returns the entry.
  absl::StatusOr<uint32_t> Build(RegexMatch match, uint32_t any) {
    HEARTH_ASSIGN_OR_RETURN(uint32_t rest, Add({NfaState::kMatch}));
    if (match == RegexMatch::kAnywhere) {
      HEARTH_ASSIGN_OR_RETURN(rest, Loop(any, rest));
    }
    HEARTH_ASSIGN_OR_RETURN(rest, Part(syntax_.nodes.size() - 1, rest));
    if (match == RegexMatch::kAnywhere) return Loop(any, rest);
    return rest;
  }

  std::vector<NfaState> TakeStates() { return std::move(states_); }

 private:
  using Entry = absl::StatusOr<uint32_t>;

  Entry Add(NfaState state) {
    HEARTH_RETURN_IF_ERROR(budget_.Spend(8, sizeof(NfaState)));
    states_.push_back(state);
    return static_cast<uint32_t>(states_.size() - 1);
  }

  // Any number of characters of the set, then `next`.
  Entry Loop(uint32_t set, uint32_t next) {
    HEARTH_ASSIGN_OR_RETURN(const uint32_t split, Add({NfaState::kSplit, 0, 0, next}));
    HEARTH_ASSIGN_OR_RETURN(states_[split].next, Add({NfaState::kChars, set, split}));
    return split;
  }

  // Recurses as deep as the syntax nests. REQUIRES: ParseRegex made the syntax.
  Entry Part(size_t index, uint32_t next) {
    const RegexNode& node = syntax_.nodes[index];
    switch (node.kind) {
      case RegexNode::kChars:
        return Add({NfaState::kChars, node.set, next});
      case RegexNode::kTextStart:
        return Add({NfaState::kTextStart, 0, next});
      case RegexNode::kTextEnd:
        return Add({NfaState::kTextEnd, 0, next});
      case RegexNode::kRepeat:
        return Repeat(node, next);
      case RegexNode::kSequence:
        for (size_t i = node.children.size(); i-- > 0;) {
          HEARTH_ASSIGN_OR_RETURN(next, Part(node.children[i], next));
        }
        return next;
      case RegexNode::kChoice:
        break;
    }
    HEARTH_ASSIGN_OR_RETURN(uint32_t entry, Part(node.children[0], next));
    for (size_t i = 1; i < node.children.size(); ++i) {
      HEARTH_ASSIGN_OR_RETURN(const uint32_t choice, Part(node.children[i], next));
      HEARTH_ASSIGN_OR_RETURN(entry, Add({NfaState::kSplit, 0, choice, entry}));
    }
    return entry;
  }

  Entry Repeat(const RegexNode& node, uint32_t next) {
    uint32_t entry = next;
    if (node.max == RegexNode::kUnbounded) {
      HEARTH_ASSIGN_OR_RETURN(entry, Add({NfaState::kSplit, 0, 0, next}));
      HEARTH_ASSIGN_OR_RETURN(const uint32_t body, Part(node.children[0], entry));
      states_[entry].next = body;
    } else {
      for (uint32_t i = node.min; i < node.max; ++i) {
        HEARTH_RETURN_IF_ERROR(budget_.Spend(8));
        HEARTH_ASSIGN_OR_RETURN(const uint32_t body, Part(node.children[0], entry));
        HEARTH_ASSIGN_OR_RETURN(entry, Add({NfaState::kSplit, 0, body, next}));
      }
    }
    for (uint32_t i = 0; i < node.min; ++i) {
      HEARTH_RETURN_IF_ERROR(budget_.Spend(8));
      HEARTH_ASSIGN_OR_RETURN(entry, Part(node.children[0], entry));
    }
    return entry;
  }

  const RegexSyntax& syntax_;
  CompileBudget& budget_;
  std::vector<NfaState> states_;
};

// The subset construction.
class Determinizer {
 public:
  Determinizer(std::vector<NfaState> nfa, CompileBudget& budget)
      : nfa_(std::move(nfa)), marks_(nfa_.size(), 0), budget_(budget) {}

  absl::StatusOr<SharedText> Make(uint32_t entry, absl::Span<const CharSet> sets) {
    HEARTH_ASSIGN_OR_RETURN(table_.alphabet, Alphabet::Of(sets, budget_));
    const int64_t plane = TextDfa::PlaneBytes(table_.alphabet);
    HEARTH_RETURN_IF_ERROR(budget_.Spend(plane / 4, plane));
    HEARTH_RETURN_IF_ERROR(SpreadSets(sets));
    HEARTH_RETURN_IF_ERROR(Number({entry}, /*at_start=*/true).status());
    for (size_t s = 0; s < subsets_.size(); ++s) {
      for (uint32_t symbol = 0; symbol < table_.alphabet.size; ++symbol) {
        HEARTH_ASSIGN_OR_RETURN(const uint32_t next, Next(subsets_[s], symbol));
        table_.next.push_back(next);
      }
    }
    return std::make_shared<const TextDfa>(table_);
  }

 private:
  // States that read a character, ascending; and 1 at the end where the text may end, else 0.
  using Subset = std::vector<uint32_t>;

  absl::Status SpreadSets(absl::Span<const CharSet> sets) {
    const Alphabet& alphabet = table_.alphabet;
    has_.assign(sets.size(), std::vector<bool>(alphabet.size));
    for (size_t set = 0; set < sets.size(); ++set) {
      HEARTH_RETURN_IF_ERROR(
          budget_.Spend(static_cast<int64_t>(alphabet.starts.size()) * 4, alphabet.size / 8));
      for (size_t i = 0; i < alphabet.starts.size(); ++i) {
        if (sets[set].Contains(alphabet.starts[i])) has_[set][alphabet.symbols[i]] = true;
      }
    }
    return absl::OkStatus();
  }

  // What can be reached from `pending` without reading. Assertions hold where the flags say.
  absl::Status Close(std::vector<uint32_t> pending, bool at_start, bool at_end, Subset& reading,
                     bool& match) {
    ++mark_;
    while (!pending.empty()) {
      const uint32_t s = pending.back();
      pending.pop_back();
      if (marks_[s] == mark_) continue;
      marks_[s] = mark_;
      HEARTH_RETURN_IF_ERROR(budget_.Spend(1));
      const NfaState& state = nfa_[s];
      switch (state.kind) {
        case NfaState::kChars:
          reading.push_back(s);
          break;
        case NfaState::kMatch:
          match = true;
          break;
        case NfaState::kSplit:
          pending.push_back(state.next);
          pending.push_back(state.other);
          break;
        case NfaState::kTextStart:
          if (at_start) pending.push_back(state.next);
          break;
        case NfaState::kTextEnd:
          if (at_end) pending.push_back(state.next);
          break;
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> Number(const std::vector<uint32_t>& entries, bool at_start) {
    Subset subset, ignored;
    bool match = false, may_end = false;
    HEARTH_RETURN_IF_ERROR(Close(entries, at_start, /*at_end=*/false, subset, match));
    HEARTH_RETURN_IF_ERROR(Close(entries, at_start, /*at_end=*/true, ignored, may_end));
    if (subset.empty() && !may_end) return TextDfa::kDead;
    std::sort(subset.begin(), subset.end());
    subset.push_back(may_end);
    const auto [at, added] = numbers_.emplace(std::move(subset), subsets_.size());
    if (added) {
      HEARTH_RETURN_IF_ERROR(
          budget_.Spend(table_.alphabet.size * 8,
                        static_cast<int64_t>(at->first.size() * 8 + table_.alphabet.size * 12)));
      subsets_.push_back(at->first);
      table_.accepts.push_back(may_end);
    }
    return at->second;
  }

  absl::StatusOr<uint32_t> Next(const Subset& subset, uint32_t symbol) {
    HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(subset.size())));
    std::vector<uint32_t> entries;
    for (size_t i = 0; i + 1 < subset.size(); ++i) {
      const NfaState& state = nfa_[subset[i]];
      if (has_[state.set][symbol]) entries.push_back(state.next);
    }
    if (entries.empty()) return TextDfa::kDead;
    return Number(entries, /*at_start=*/false);
  }

  const std::vector<NfaState> nfa_;
  std::vector<uint32_t> marks_;  // by state: the last closure that reached it
  uint32_t mark_ = 0;
  CompileBudget& budget_;
  TextTable table_;
  std::vector<std::vector<bool>> has_;  // by set and symbol
  std::vector<Subset> subsets_;
  absl::flat_hash_map<Subset, uint32_t> numbers_;
};

}  // namespace

absl::StatusOr<SharedText> CompileRegex(std::string_view pattern, RegexMatch match,
                                        CompileBudget& budget) {
  HEARTH_ASSIGN_OR_RETURN(RegexSyntax syntax, ParseRegex(pattern, budget));
  syntax.sets.push_back(CharSet().Complement());
  NfaBuilder builder(syntax, budget);
  HEARTH_ASSIGN_OR_RETURN(const uint32_t entry,
                          builder.Build(match, static_cast<uint32_t>(syntax.sets.size() - 1)));
  return Determinizer(builder.TakeStates(), budget).Make(entry, syntax.sets);
}

}  // namespace hearth
