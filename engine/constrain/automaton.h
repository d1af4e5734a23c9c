// Runs a grammar over bytes. All ways to read the bytes so far are followed at once; where they
// call the same rule at the same place they share what is called, so that their number is bounded
// by the grammar and not by the text. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_
#define HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/types/span.h"
#include "engine/constrain/grammar.h"

namespace hearth {

using StackId = uint32_t;

// Where a call returns to, with what stack below.
struct Frame {
  StateId return_to;
  StackId below;

  bool operator==(const Frame& other) const {
    return return_to == other.return_to && below == other.below;
  }
  bool operator<(const Frame& other) const {
    return return_to != other.return_to ? return_to < other.return_to : below < other.below;
  }
  template <typename H>
  friend H AbslHashValue(H state, const Frame& frame) {
    return H::combine(std::move(state), frame.return_to, frame.below);
  }
};

// Call stacks, each kept once. A stack has several frames on top where several ways share a call.
class CallStacks {
 public:
  static constexpr StackId kBottom = 0;

  CallStacks();
  CallStacks(CallStacks&&) = default;
  CallStacks& operator=(CallStacks&&) = default;

  // REQUIRES: frames are ascending, and all stacks below are equally deep.
  StackId Push(const std::vector<Frame>& frames);
  absl::Span<const Frame> Top(StackId stack) const { return *stacks_[stack].frames; }
  uint32_t Depth(StackId stack) const { return stacks_[stack].depth; }
  size_t size() const { return stacks_.size(); }

 private:
  struct Stack {
    const std::vector<Frame>* frames;
    uint32_t depth;
  };
  std::vector<Stack> stacks_;
  absl::node_hash_map<std::vector<Frame>, StackId> ids_;
};

// One way to have read the bytes so far.
struct Item {
  StateId state;
  uint32_t text;     // of a terminal; else how much white space was read here
  uint32_t partial;  // of a terminal
  StackId stack;

  Terminal::State terminal() const { return {text, partial}; }
  bool operator==(const Item& other) const {
    return state == other.state && text == other.text && partial == other.partial &&
           stack == other.stack;
  }
  bool operator<(const Item& other) const {
    return std::tie(state, text, partial, stack) <
           std::tie(other.state, other.text, other.partial, other.stack);
  }
};

// All of them.
struct Configuration {
  std::vector<Item> items;  // ascending; each can read at least one more byte, and be completed
  bool complete = false;    // what was read is a whole document

  bool dead() const { return items.empty() && !complete; }
  void Clear() {
    items.clear();
    complete = false;
  }
};

class Automaton {
 public:
  // `grammar` must outlive the automaton.
  explicit Automaton(const Grammar& grammar) : grammar_(grammar) {}

  const Grammar& grammar() const { return grammar_; }

  // `out` must be another than `from`.
  void Start(Configuration& out);
  void Step(const Configuration& from, uint8_t byte, Configuration& out);
  void StepMarker(const Configuration& from, TokenId marker, Configuration& out);
  // After the call on top of the stack.
  void Return(StackId stack, Configuration& out);

  // Forgets all stacks but those of `live`, which it renumbers.
  void Compact(Configuration& live);
  size_t stacks() const { return stacks_.size(); }

  // What was done so far, in steps of some ten nanoseconds. A function of what was asked.
  uint64_t work() const { return work_; }

 private:
  struct PendingCall {
    RuleId rule;
    uint32_t depth;
    Frame frame;
  };

  void StepItem(const Item& item, uint8_t byte, Configuration& out);
  void AddTerminal(const Terminal& terminal, StateId state, Terminal::State place, StackId stack,
                   Configuration& out);
  void Enter(StateId state, uint32_t white_space, StackId stack, Configuration& out);
  void Leave(StackId stack, Configuration& out);
  void MakeCalls(Configuration& out);
  void Finish(Configuration& out);

  const Grammar& grammar_;
  CallStacks stacks_;
  std::vector<PendingCall> calls_;
  uint64_t work_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_
