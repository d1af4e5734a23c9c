#include "engine/constrain/automaton.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace hearth {
namespace {

// White space before a token: nothing, a space, or a newline and then up to kMaxIndentation.
enum : uint32_t { kNothing, kSpace, kNewline };

bool AddWhiteSpace(uint32_t& read, uint8_t byte) {
  if (read == kNothing && byte == ' ') {
    read = kSpace;
  } else if (read == kNothing && byte == '\n') {
    read = kNewline;
  } else if (read >= kNewline && read < kNewline + kMaxIndentation &&
             (byte == ' ' || byte == '\t')) {
    ++read;
  } else {
    return false;
  }
  return true;
}

// What a call costs, beside a step of an item.
constexpr uint64_t kCallWork = 16;

}  // namespace

CallStacks::CallStacks() {
  const auto bottom = ids_.emplace(std::vector<Frame>(), kBottom).first;
  stacks_.push_back({&bottom->first, 0});
}

StackId CallStacks::Push(const std::vector<Frame>& frames) {
  const auto [at, added] = ids_.emplace(frames, static_cast<StackId>(stacks_.size()));
  if (added) {
    stacks_.push_back({&at->first, Depth(frames[0].below) + 1});
    frames_ += frames.size();
  }
  return at->second;
}

void Automaton::Begin(Configuration& out) {
  out.Clear();
  ++steps_;
  work_before_ = work_;
}

void Automaton::Start(Configuration& out) {
  Begin(out);
  for (const StateId start : grammar_.Starts(Grammar::kRoot)) {
    Enter(start, kNothing, CallStacks::kBottom, out);
  }
  Finish(out);
}

void Automaton::Step(const Configuration& from, uint8_t byte, Configuration& out) {
  Begin(out);
  out.too_many = from.too_many;
  work_ += from.items.size();
  for (const Item& item : from.items) StepItem(item, byte, out);
  Finish(out);
}

void Automaton::StepMarker(const Configuration& from, TokenId marker, Configuration& out) {
  Begin(out);
  out.too_many = from.too_many;
  for (const Item& item : from.items) {
    if (grammar_.TerminalOf(item.state) != nullptr) continue;
    for (const MarkerEdge& edge : grammar_.Markers(item.state)) {
      if (edge.token == marker) Enter(edge.target, kNothing, item.stack, out);
    }
  }
  Finish(out);
}

void Automaton::Return(StackId stack, Configuration& out) {
  Begin(out);
  Leave(stack, out);
  Finish(out);
}

void Automaton::StepItem(const Item& item, uint8_t byte, Configuration& out) {
  if (const Terminal* terminal = grammar_.TerminalOf(item.state)) {
    Terminal::State state = item.terminal();
    switch (terminal->Advance(state, byte)) {
      case Terminal::Step::kDead:
        return;
      case Terminal::Step::kClosed:
        return Leave(item.stack, out);
      case Terminal::Step::kAlive:
        return AddTerminal(*terminal, item.state, state, item.stack, out);
    }
  }
  uint32_t white_space = item.text;
  if (grammar_.HasGap(item.state) && AddWhiteSpace(white_space, byte)) {
    Enter(item.state, white_space, item.stack, out);
  }
  const absl::Span<const Edge> edges = grammar_.Edges(item.state);
  const auto edge = edges.size() == 1 && edges[0].byte == byte
                        ? edges.begin()
                        : std::lower_bound(edges.begin(), edges.end(), byte,
                                           [](const Edge& e, uint8_t b) { return e.byte < b; });
  if (edge != edges.end() && edge->byte == byte) Enter(edge->target, kNothing, item.stack, out);
}

// Comes to a state, and to what can be reached from it without reading.
void Automaton::Enter(StateId state, uint32_t white_space, StackId stack, Configuration& out) {
  const uint32_t depth = stacks_.Depth(stack);
  if (IsOutOfWork() || depth + grammar_.Nesting(state) > kMaxNesting) return;
  if (const Terminal* terminal = grammar_.TerminalOf(state)) {
    return AddTerminal(*terminal, state, terminal->start(), stack, out);
  }
  // An item that only calls or returns has nothing to read itself.
  if (grammar_.HasGap(state) || !grammar_.Edges(state).empty() ||
      !grammar_.Markers(state).empty()) {
    out.items.push_back({state, white_space, 0, stack});
  }
  if (grammar_.Accepts(state)) Leave(stack, out);
  for (const Call& call : grammar_.Calls(state)) {
    if (depth + grammar_.Nesting(call.return_to) > kMaxNesting) continue;
    work_ += kCallWork;
    calls_.push_back({call.rule, depth, {call.return_to, stack}});
  }
}

void Automaton::AddTerminal(const Terminal& terminal, StateId state, Terminal::State place,
                            StackId stack, Configuration& out) {
  const bool accepts = terminal.Accepts(place);
  if (!accepts || terminal.GoesOn(place)) {
    out.items.push_back({state, place.text, place.partial, stack});
  }
  if (accepts) Leave(stack, out);
}

// Many ways may end one call at once; what comes behind it is the same for all.
void Automaton::Leave(StackId stack, Configuration& out) {
  if (!stacks_.Visit(stack, steps_)) return;
  if (stack == CallStacks::kBottom) {
    out.complete = true;
    return;
  }
  for (const Frame& frame : stacks_.Top(stack)) {
    ++work_;
    Enter(frame.return_to, kNothing, frame.below, out);
  }
}

void Automaton::Finish(Configuration& out) {
  MakeCalls(out);
  std::sort(out.items.begin(), out.items.end());
  out.items.erase(std::unique(out.items.begin(), out.items.end()), out.items.end());
  if (IsOutOfWork() || out.items.size() > kMostItems) out.too_many = true;
  if (out.too_many) out.items.clear();
  // What one document needed is not kept for others.
  if (out.items.capacity() > kMostItems) out.items.shrink_to_fit();
  if (calls_.capacity() > kMostItems) calls_.shrink_to_fit();
}

// Calls of one rule from the same depth share a stack: what they read is the same.
void Automaton::MakeCalls(Configuration& out) {
  std::vector<PendingCall> calls;
  std::vector<Frame> frames;
  while (!calls_.empty()) {
    calls.clear();
    calls.swap(calls_);
    std::sort(calls.begin(), calls.end(), [](const PendingCall& a, const PendingCall& b) {
      if (a.rule != b.rule) return a.rule < b.rule;
      if (a.depth != b.depth) return a.depth < b.depth;
      return a.frame < b.frame;
    });
    for (size_t i = 0; i < calls.size();) {
      const PendingCall& first = calls[i];
      frames.clear();
      for (; i < calls.size() && calls[i].rule == first.rule && calls[i].depth == first.depth;
           ++i) {
        if (frames.empty() || !(frames.back() == calls[i].frame)) frames.push_back(calls[i].frame);
      }
      if (first.depth == kMaxNesting || IsOutOfWork()) continue;
      const StackId stack = stacks_.Push(frames);
      for (const StateId start : grammar_.Starts(first.rule)) {
        ++work_;
        Enter(start, kNothing, stack, out);
      }
    }
  }
}

void Automaton::Compact(Configuration& live) {
  CallStacks kept;
  absl::flat_hash_map<StackId, StackId> renumbered = {{CallStacks::kBottom, CallStacks::kBottom}};
  // Stacks are made after those below them, so in ascending order all are there in time.
  std::vector<StackId> pending, needed;
  absl::flat_hash_set<StackId> seen;
  for (const Item& item : live.items) pending.push_back(item.stack);
  while (!pending.empty()) {
    const StackId stack = pending.back();
    pending.pop_back();
    if (!seen.insert(stack).second || stack == CallStacks::kBottom) continue;
    needed.push_back(stack);
    for (const Frame& frame : stacks_.Top(stack)) pending.push_back(frame.below);
  }
  std::sort(needed.begin(), needed.end());
  for (const StackId stack : needed) {
    std::vector<Frame> frames(stacks_.Top(stack).begin(), stacks_.Top(stack).end());
    for (Frame& frame : frames) frame.below = renumbered.at(frame.below);
    std::sort(frames.begin(), frames.end());
    renumbered[stack] = kept.Push(frames);
  }
  for (Item& item : live.items) item.stack = renumbered.at(item.stack);
  std::sort(live.items.begin(), live.items.end());
  stacks_ = std::move(kept);
}

}  // namespace hearth
