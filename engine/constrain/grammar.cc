#include "engine/constrain/grammar.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/check.h"

namespace hearth {
namespace {

// Finds Grammar::Nesting: each state's is the least over what can be read there. Values only fall,
// so a state is looked at again when one it depends on fell.
class NestingFinder {
 public:
  explicit NestingFinder(const Grammar& grammar)
      : grammar_(grammar), nesting_(grammar.states(), kMaxNesting + 1) {}

  std::vector<uint8_t> Find(size_t rules) {
    rules_.assign(rules, kMaxNesting + 1);
    CountUses();
    ListUses(rules);
    for (StateId s = 0; s < nesting_.size(); ++s) {
      if (grammar_.Accepts(s) || grammar_.TerminalOf(s) != nullptr) Lower(s, 0);
    }
    while (!pending_.empty()) {
      const StateId fallen = pending_.back();
      pending_.pop_back();
      for (uint32_t i = use_starts_[fallen]; i < use_starts_[fallen + 1]; ++i) {
        Lower(users_[i], Least(users_[i]));
      }
      const auto started = started_.find(fallen);
      if (started == started_.end()) continue;
      for (const RuleId rule : started->second) {
        if (nesting_[fallen] >= rules_[rule]) continue;
        rules_[rule] = nesting_[fallen];
        for (const StateId caller : callers_[rule]) Lower(caller, Least(caller));
      }
    }
    return std::move(nesting_);
  }

 private:
  template <typename Visit>
  void ForEachTarget(StateId s, const Visit& visit) const {
    for (const Edge& edge : grammar_.Edges(s)) visit(edge.target);
    for (const MarkerEdge& edge : grammar_.Markers(s)) visit(edge.target);
    for (const Call& call : grammar_.Calls(s)) visit(call.return_to);
  }

  void CountUses() {
    use_starts_.resize(nesting_.size() + 1);
    for (StateId s = 0; s < nesting_.size(); ++s) {
      ForEachTarget(s, [&](StateId target) { ++use_starts_[target]; });
    }
    uint32_t sum = 0;
    for (uint32_t& start : use_starts_) start = sum += start;
    users_.resize(sum);
  }

  void ListUses(size_t rules) {
    callers_.resize(rules);
    for (StateId s = 0; s < nesting_.size(); ++s) {
      ForEachTarget(s, [&](StateId target) { users_[--use_starts_[target]] = s; });
      for (const Call& call : grammar_.Calls(s)) callers_[call.rule].push_back(s);
    }
    for (RuleId rule = 0; rule < rules; ++rule) {
      for (const StateId start : grammar_.Starts(rule)) started_[start].push_back(rule);
    }
  }

  uint8_t Least(StateId s) const {
    uint8_t least = nesting_[s];
    for (const Edge& edge : grammar_.Edges(s)) least = std::min(least, nesting_[edge.target]);
    for (const MarkerEdge& edge : grammar_.Markers(s)) {
      least = std::min(least, nesting_[edge.target]);
    }
    for (const Call& call : grammar_.Calls(s)) {
      const uint8_t inside = static_cast<uint8_t>(rules_[call.rule] + 1);
      least = std::min(least, std::max(inside, nesting_[call.return_to]));
    }
    return least;
  }

  void Lower(StateId s, uint8_t nesting) {
    if (nesting >= nesting_[s]) return;
    nesting_[s] = nesting;
    pending_.push_back(s);
  }

  const Grammar& grammar_;
  std::vector<uint8_t> nesting_;
  std::vector<uint8_t> rules_;
  std::vector<StateId> users_;  // use_starts_[s] .. use_starts_[s + 1]: those that lead to s
  std::vector<uint32_t> use_starts_;
  std::vector<std::vector<StateId>> callers_;                  // by rule
  absl::flat_hash_map<StateId, std::vector<RuleId>> started_;  // the rules that start there
  std::vector<StateId> pending_;
};

}  // namespace

bool Grammar::IsEmptyRule(RuleId rule) const {
  for (const StateId start : Starts(rule)) {
    if (Nesting(start) <= kMaxNesting) return false;
  }
  return true;
}

size_t Grammar::bytes() const {
  size_t bytes = states_.size() * sizeof(State) + terminals_.size() * sizeof(Terminal) +
                 edges_.size() * sizeof(Edge) + calls_.size() * sizeof(Call) +
                 markers_.size() * sizeof(MarkerEdge) +
                 (starts_.size() + rule_starts_.size() + edge_starts_.size() + call_starts_.size() +
                  marker_starts_.size()) *
                     sizeof(uint32_t);
  absl::flat_hash_set<const TextDfa*> texts;  // terminals share them
  for (const Terminal& terminal : terminals_) {
    if (texts.insert(&terminal.text()).second) bytes += terminal.text().bytes();
  }
  return bytes;
}

void GrammarBuilder::Spend(int64_t steps, int64_t bytes) {
  if (status_.ok()) status_ = budget_.Spend(steps, bytes);
}

RuleId GrammarBuilder::AddRule() {
  Spend(8, 32);
  rules_.emplace_back();
  return static_cast<RuleId>(rules_.size() - 1);
}

StateId GrammarBuilder::AddState(bool gap) {
  Spend(16, 128);
  states_.emplace_back();
  states_.back().gap = gap;
  return static_cast<StateId>(states_.size() - 1);
}

StateId GrammarBuilder::AddAccept() {
  const StateId state = AddState();
  states_[state].accepts = true;
  return state;
}

StateId GrammarBuilder::AddTerminal(SharedText text, Spelling spelling) {
  HEARTH_CHECK(!text->empty());
  const StateId state = AddState();
  states_[state].terminal = static_cast<int32_t>(terminals_.size());
  terminals_.emplace_back(std::move(text), spelling);
  return state;
}

Edge* GrammarBuilder::FindEdge(StateId from, uint8_t byte) {
  std::vector<Edge>& edges = states_[from].edges;
  const auto at = std::lower_bound(edges.begin(), edges.end(), byte,
                                   [](const Edge& edge, uint8_t b) { return edge.byte < b; });
  return at == edges.end() || at->byte != byte ? nullptr : &*at;
}

void GrammarBuilder::AddEdge(StateId from, uint8_t byte, StateId target) {
  Spend(8, 16);
  std::vector<Edge>& edges = states_[from].edges;
  const auto at = std::lower_bound(edges.begin(), edges.end(), byte,
                                   [](const Edge& edge, uint8_t b) { return edge.byte < b; });
  HEARTH_CHECK(at == edges.end() || at->byte != byte);
  edges.insert(at, {byte, target});
}

void GrammarBuilder::AddCall(StateId from, RuleId rule, StateId return_to) {
  Spend(8, 16);
  states_[from].calls.push_back({rule, return_to});
}

void GrammarBuilder::AddMarker(StateId from, TokenId token, StateId target) {
  Spend(8, 16);
  states_[from].markers.push_back({token, target});
}

StateId GrammarBuilder::Chain(std::string_view bytes, StateId target) {
  for (size_t i = bytes.size(); i-- > 0 && status_.ok();) {
    const StateId state = AddState();
    AddEdge(state, static_cast<uint8_t>(bytes[i]), target);
    target = state;
  }
  return target;
}

void GrammarBuilder::CopyInto(StateId to, StateId from) {
  Spend(8, static_cast<int64_t>(states_[from].edges.size() * sizeof(Edge) +
                                states_[from].calls.size() * sizeof(Call)));
  states_[to].edges = states_[from].edges;
  states_[to].calls = states_[from].calls;
}

StateId GrammarBuilder::CopyEdges(StateId from) {
  const StateId copy = AddState();
  const int64_t edges = static_cast<int64_t>(states_[from].edges.size());
  Spend(edges * 2, edges * static_cast<int64_t>(sizeof(Edge)));
  states_[copy].edges = states_[from].edges;
  return copy;
}

StateId GrammarBuilder::WithChain(StateId root, std::string_view bytes, StateId target) {
  const StateId copy = CopyEdges(root);
  for (StateId at = copy; status_.ok();) {
    const uint8_t byte = static_cast<uint8_t>(bytes[0]);
    bytes.remove_prefix(1);
    const Edge* edge = FindEdge(at, byte);
    if (edge == nullptr) {
      AddEdge(at, byte, Chain(bytes, target));
      break;
    }
    const StateId next = CopyEdges(edge->target);
    FindEdge(at, byte)->target = next;
    at = next;
  }
  return copy;
}

void GrammarBuilder::Insert(StateId root, std::string_view bytes) {
  for (size_t i = 0; i < bytes.size() && status_.ok(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    if (FindEdge(root, byte) == nullptr) AddEdge(root, byte, AddState());
    root = FindEdge(root, byte)->target;
  }
  states_[root].accepts = true;
}

Grammar GrammarBuilder::Build() && {
  HEARTH_CHECK(status_.ok());
  Grammar grammar;
  const auto mark = [&] {
    grammar.edge_starts_.push_back(static_cast<uint32_t>(grammar.edges_.size()));
    grammar.call_starts_.push_back(static_cast<uint32_t>(grammar.calls_.size()));
    grammar.marker_starts_.push_back(static_cast<uint32_t>(grammar.markers_.size()));
  };
  for (const State& state : states_) {
    mark();
    grammar.edges_.insert(grammar.edges_.end(), state.edges.begin(), state.edges.end());
    grammar.calls_.insert(grammar.calls_.end(), state.calls.begin(), state.calls.end());
    grammar.markers_.insert(grammar.markers_.end(), state.markers.begin(), state.markers.end());
    grammar.states_.push_back({state.terminal, state.accepts, state.gap});
  }
  mark();
  for (const std::vector<StateId>& starts : rules_) {
    grammar.rule_starts_.push_back(static_cast<uint32_t>(grammar.starts_.size()));
    grammar.starts_.insert(grammar.starts_.end(), starts.begin(), starts.end());
  }
  grammar.rule_starts_.push_back(static_cast<uint32_t>(grammar.starts_.size()));
  grammar.terminals_ = std::move(terminals_);
  const std::vector<uint8_t> nesting = NestingFinder(grammar).Find(rules_.size());
  for (StateId s = 0; s < nesting.size(); ++s) grammar.states_[s].nesting = nesting[s];
  return grammar;
}

}  // namespace hearth
