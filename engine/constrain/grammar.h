// What a constraint compiles to: a pushdown automaton over bytes and marker tokens. Rules call
// each other; a call pushes the state to return to. Immutable once made; safe from any thread.
#ifndef HEARTH_ENGINE_CONSTRAIN_GRAMMAR_H_
#define HEARTH_ENGINE_CONSTRAIN_GRAMMAR_H_

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/terminal.h"
#include "engine/request.h"

namespace hearth {

using StateId = uint32_t;
using RuleId = uint32_t;

// Calls nest at most so deep: so deep a document can be.
inline constexpr uint32_t kMaxNesting = 64;

// JSON white space between two tokens of a document: nothing, one space, or a newline and up to so
// many spaces or tabs. Without a bound a model could go on for ever.
inline constexpr uint32_t kMaxIndentation = 20;

struct Edge {
  uint8_t byte;
  StateId target;
};
struct MarkerEdge {
  TokenId token;
  StateId target;
};
struct Call {
  RuleId rule;
  StateId return_to;
};

// A state is either one of a terminal, whose own states say the rest, or has edges and calls.
class Grammar {
 public:
  // REQUIRES: no empty rule but the root, and no rule that can begin with a call of itself.
  static constexpr RuleId kRoot = 0;

  absl::Span<const StateId> Starts(RuleId rule) const { return Slice(starts_, rule_starts_, rule); }
  absl::Span<const Edge> Edges(StateId state) const { return Slice(edges_, edge_starts_, state); }
  absl::Span<const Call> Calls(StateId state) const { return Slice(calls_, call_starts_, state); }
  absl::Span<const MarkerEdge> Markers(StateId state) const {
    return Slice(markers_, marker_starts_, state);
  }
  // Null when the state is none of a terminal.
  const Terminal* TerminalOf(StateId state) const {
    return states_[state].terminal < 0 ? nullptr : &terminals_[states_[state].terminal];
  }
  // The rule may end here.
  bool Accepts(StateId state) const { return states_[state].accepts; }
  // White space may come first.
  bool HasGap(StateId state) const { return states_[state].gap; }
  // How many calls deep the shortest way to the end of the rule goes; more than kMaxNesting when
  // there is none.
  uint32_t Nesting(StateId state) const { return states_[state].nesting; }

  bool IsEmptyRule(RuleId rule) const;  // nothing can be read through it
  size_t states() const { return states_.size(); }
  size_t bytes() const;  // of memory

 private:
  friend class GrammarBuilder;
  struct State {
    int32_t terminal = -1;
    bool accepts = false;
    bool gap = false;
    uint8_t nesting = kMaxNesting + 1;
  };

  template <typename T>
  static absl::Span<const T> Slice(const std::vector<T>& all, const std::vector<uint32_t>& starts,
                                   uint32_t index) {
    return absl::MakeConstSpan(all).subspan(starts[index], starts[index + 1] - starts[index]);
  }

  std::vector<State> states_;
  std::vector<Terminal> terminals_;
  std::vector<StateId> starts_;
  std::vector<Edge> edges_;  // of a state: by byte
  std::vector<Call> calls_;
  std::vector<MarkerEdge> markers_;
  std::vector<uint32_t> rule_starts_, edge_starts_, call_starts_, marker_starts_;  // and the end
};

// Builds from the end: a state knows where it leads.
class GrammarBuilder {
 public:
  explicit GrammarBuilder(CompileBudget& budget) : budget_(budget) {}

  // A rule without starts; nothing can be read through it until it has some.
  RuleId AddRule();
  void AddStart(RuleId rule, StateId state) { rules_[rule].push_back(state); }
  size_t NumStarts(RuleId rule) const { return rules_[rule].size(); }

  StateId AddState(bool gap = false);
  StateId AddAccept();
  // REQUIRES: text is not empty.
  StateId AddTerminal(SharedText text, Spelling spelling);
  // REQUIRES: the state has no edge for this byte.
  void AddEdge(StateId from, uint8_t byte, StateId target);
  void AddCall(StateId from, RuleId rule, StateId return_to);
  void AddMarker(StateId from, TokenId token, StateId target);

  // Gives a state without edges and calls those of another.
  void CopyInto(StateId to, StateId from);

  // The state from which `bytes` lead to `target`.
  StateId Chain(std::string_view bytes, StateId target);
  // What `root` reads, or `bytes` and then `target`, as a copy that leaves `root` as it is. What
  // `bytes` pass through must have edges only. REQUIRES: no bytes that `root` reads are a prefix
  // of these or the other way round.
  StateId WithChain(StateId root, std::string_view bytes, StateId target);
  // From now on the rule may end after `bytes` from `root`, which must have been inserted into
  // only.
  void Insert(StateId root, std::string_view bytes);

  // Everything above adds to one budget; this tells whether it was kept.
  const absl::Status& status() const { return status_; }
  CompileBudget& budget() { return budget_; }

  Grammar Build() &&;

 private:
  struct State {
    std::vector<Edge> edges;
    std::vector<Call> calls;
    std::vector<MarkerEdge> markers;
    int32_t terminal = -1;
    bool accepts = false;
    bool gap = false;
  };

  void Spend(int64_t steps, int64_t bytes);
  Edge* FindEdge(StateId from, uint8_t byte);
  StateId CopyEdges(StateId from);

  CompileBudget& budget_;
  absl::Status status_;
  std::vector<State> states_;
  std::vector<Terminal> terminals_;
  std::vector<std::vector<StateId>> rules_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_GRAMMAR_H_
