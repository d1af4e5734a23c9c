// Runs a grammar over bytes. All ways to read the bytes so far are followed at once; where they
// call the same rule at the same place they share what is called, so that their number is bounded
// by the grammar and not by the text. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_
#define HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_

#include <cstddef>
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
  // Of all stacks, which is what they take memory for.
  size_t frames() const { return frames_; }

  // True for the first visit of a stack in a step.
  bool Visit(StackId stack, uint64_t step) {
    return std::exchange(stacks_[stack].visited, step) != step;
  }

 private:
  struct Stack {
    const std::vector<Frame>* frames;
    uint32_t depth;
    uint64_t visited = 0;
  };
  std::vector<Stack> stacks_;
  size_t frames_ = 0;
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
  bool too_many = false;    // ways to follow; then there are no items, whatever is read

  bool dead() const { return items.empty() && !complete && !too_many; }
  void Clear() {
    items.clear();
    complete = too_many = false;
  }
};

class Automaton {
 public:
  // What is followed at once, and what a step may do for it. Both bound what one byte costs.
  static constexpr size_t kMostItems = 1024;
  static constexpr uint64_t kMostStepWork = 1 << 17;

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
  size_t frames() const { return stacks_.frames(); }

  // What was done so far, in steps of some ten nanoseconds. A function of what was asked.
  uint64_t work() const { return work_; }

 private:
  struct PendingCall {
    RuleId rule;
    uint32_t depth;
    Frame frame;
  };

  void Begin(Configuration& out);
  bool IsOutOfWork() const { return work_ - work_before_ > kMostStepWork; }
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
  uint64_t steps_ = 0;
  uint64_t work_before_ = 0;  // the current step
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_AUTOMATON_H_
