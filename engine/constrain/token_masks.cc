#include "engine/constrain/token_masks.h"

#include <algorithm>
#include <bit>

#include "engine/check.h"

namespace hearth {
namespace {

// Up to so many tokens are kept as a list.
constexpr size_t kFew = 2048;

// What it costs to use a walk, to use it for one more item, and a step of the automaton, beside a
// node of a walk.
constexpr uint64_t kWalkWork = 500;
constexpr uint64_t kSharedWork = 20;
constexpr uint64_t kStepWork = 2;

absl::Status TooAmbiguous() {
  return absl::InvalidArgumentError(
      "the constraint is too ambiguous: what was written can be read in too many ways");
}

void SetBit(absl::Span<uint64_t> mask, TokenId token) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

void SetBits(absl::Span<uint64_t> mask, absl::Span<const TokenId> tokens) {
  for (const TokenId token : tokens) SetBit(mask, token);
}

void AddMask(absl::Span<uint64_t> mask, absl::Span<const uint64_t> other) {
  for (size_t i = 0; i < mask.size(); ++i) mask[i] |= other[i];
}

// Whether all that is below the node can be read, whatever it is.
bool IsSafeBelow(const Terminal& terminal, Terminal::State state, const TokenTrie::Slice& slice,
                 const TokenTrie::Node& node) {
  return slice.char_class && node.chars_below < 255 &&
         terminal.Run(state, *slice.char_class) >= node.chars_below && state.partial == 0;
}

}  // namespace

TokenMasks::TokenMasks(const TokenTrie& trie, size_t bytes) : trie_(trie), limit_(bytes) {
  size_t deepest = 0;
  for (const TokenTrie::Slice& slice : trie.slices()) {
    for (const TokenTrie::Node& node : slice.nodes) {
      deepest = std::max<size_t>(deepest, node.depth);
    }
  }
  levels_.resize(deepest + 1);
  states_.resize(deepest + 1);
}

absl::Status TokenMasks::Fill(Automaton& automaton, const Configuration& configuration,
                              absl::Span<uint64_t> mask) {
  HEARTH_CHECK(mask.size() == trie_.words());
  std::fill(mask.begin(), mask.end(), 0);
  walked_ = 0;
  counted_.clear();
  within_limits_ = true;
  work_before_ = automaton.work();
  const Grammar& grammar = automaton.grammar();
  Configuration rest;
  if (configuration.too_many) return TooAmbiguous();
  for (const Item& item : configuration.items) {
    if (!IsWithinLimits(automaton, configuration)) return TooAmbiguous();
    const Terminal* terminal = grammar.TerminalOf(item.state);
    if (terminal == nullptr || terminal->IsUnopened(item.terminal())) {
      rest.items.push_back(item);
      if (terminal != nullptr) continue;
      for (const MarkerEdge& edge : grammar.Markers(item.state)) SetBit(mask, edge.token);
      continue;
    }
    const Walk& walk = WalkOf(*terminal, item.terminal());
    if (counted_.insert(walk.key).second) {
      walked_ += walk.work + kWalkWork;
      walk.mask.empty() ? SetBits(mask, walk.tokens) : AddMask(mask, walk.mask);
    }
    walked_ += kSharedWork;
    if (!walk.exits.empty()) FollowExits(automaton, walk, item.stack, mask);
  }
  if (!rest.items.empty()) {
    successors_.from = std::move(rest);
    FollowItems(automaton, mask);
  }
  return within_limits_ ? absl::OkStatus() : TooAmbiguous();
}

bool TokenMasks::IsWithinLimits(const Automaton& automaton, const Configuration& configuration) {
  const uint64_t work = walked_ + (automaton.work() - work_before_) * kStepWork;
  if (work > kMostWork || configuration.too_many) within_limits_ = false;
  return within_limits_;
}

const TokenMasks::Walk& TokenMasks::WalkOf(const Terminal& terminal, Terminal::State state) {
  // No token is longer, nor any length that a slice counts.
  const uint32_t horizon = std::max<uint32_t>(trie_.longest(), TokenTrie::kCounted + 1);
  // The same place for all that are alike, so that a walk's work does not depend on which came
  // first.
  state.text = terminal.text().Representative(state.text, horizon);
  const auto [automaton, text] = terminal.text().Key(state.text, horizon);
  const Key key{automaton, text, state.partial, terminal.spelling()};
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    walks_.splice(walks_.begin(), walks_, known->second);
    return walks_.front();
  }
  walks_.emplace_front();
  Walk& walk = walks_.front();
  walk.key = key;
  walk.mask.resize(trie_.words());
  for (uint32_t slice = 0; slice < trie_.slices().size(); ++slice) {
    WalkSlice(terminal, state, slice, walk);
  }
  size_t count = 0;
  for (const uint64_t word : walk.mask) count += std::popcount(word);
  if (count <= kFew) {
    for (size_t i = 0; i < walk.mask.size(); ++i) {
      for (uint64_t word = walk.mask[i]; word != 0; word &= word - 1) {
        walk.tokens.push_back(static_cast<TokenId>(i * 64 + std::countr_zero(word)));
      }
    }
    walk.mask = {};
  }
  by_key_.emplace(key, walks_.begin());
  kept_ += walk.bytes();
  while (kept_ > limit_ && walks_.size() > 1) {
    kept_ -= walks_.back().bytes();
    by_key_.erase(walks_.back().key);
    walks_.pop_back();
  }
  return walk;
}

void TokenMasks::WalkSlice(const Terminal& terminal, Terminal::State start, uint32_t index,
                           Walk& walk) {
  const TokenTrie::Slice& slice = trie_.slices()[index];
  if (IsSafeBelow(terminal, start, slice, slice.nodes[0])) {
    return AddMask(absl::MakeSpan(walk.mask), slice.mask);
  }
  const absl::Span<uint64_t> mask = absl::MakeSpan(walk.mask);
  // Tokens of so many characters are safe, and often no others.
  uint32_t safe = 0;
  if (slice.char_class) {
    const uint32_t run = terminal.Run(start, *slice.char_class);
    safe = std::min<uint32_t>(run, TokenTrie::kCounted);
    AddMask(mask, slice.up_to[safe]);
    if (start.partial == 0 && run <= TokenTrie::kCounted &&
        terminal.text().IsRunAll(start.text, *slice.char_class, walk.work)) {
      return;
    }
  }
  states_[0] = start;
  const uint32_t end = slice.nodes[0].end;
  for (uint32_t i = 1; i < end;) {
    ++walk.work;
    const TokenTrie::Node& node = slice.nodes[i];
    if (safe > 0 && node.chars + node.chars_below <= static_cast<int>(safe)) {
      i = node.end;
      continue;
    }
    Terminal::State state = states_[node.depth - 1];
    const Terminal::Step step =
        terminal.Advance(state, node.byte, /*whole_chars=*/slice.char_class.has_value());
    if (step == Terminal::Step::kDead) {
      i = node.end;
      continue;
    }
    const bool leaf = node.end == i + 1;
    if (step == Terminal::Step::kClosed) {
      SetBits(mask, slice.TokensAt(i));
      if (!leaf) walk.exits.push_back({index, i});
      i = node.end;
      continue;
    }
    if (IsSafeBelow(terminal, state, slice, node)) {
      SetBits(mask, slice.TokensWithin(i));
      i = node.end;
      continue;
    }
    SetBits(mask, slice.TokensAt(i));
    if (!leaf && terminal.Accepts(state)) walk.exits.push_back({index, i});
    states_[node.depth] = state;
    ++i;
  }
}

// Tokens that close the terminal and go on with what comes after it.
void TokenMasks::FollowExits(Automaton& automaton, const Walk& walk, StackId stack,
                             absl::Span<uint64_t> mask) {
  automaton.Return(stack, successors_.from);
  successors_.known.fill(false);
  for (const Place& place : walk.exits) {
    const TokenTrie::Slice& slice = trie_.slices()[place.slice];
    const uint32_t end = slice.nodes[place.node].end;
    for (uint32_t child = place.node + 1; child < end; child = slice.nodes[child].end) {
      FollowBelow(automaton, slice, child, mask);
    }
  }
}

// Everything but what is within a terminal: few bytes can come next.
void TokenMasks::FollowItems(Automaton& automaton, absl::Span<uint64_t> mask) {
  successors_.known.fill(false);
  std::array<bool, 256> next{};
  const Grammar& grammar = automaton.grammar();
  for (const Item& item : successors_.from.items) {
    if (grammar.TerminalOf(item.state) != nullptr) {
      next['"'] = true;
      continue;
    }
    for (const Edge& edge : grammar.Edges(item.state)) next[edge.byte] = true;
    if (grammar.HasGap(item.state)) next[' '] = next['\t'] = next['\n'] = true;
  }
  for (size_t byte = 0; byte < next.size(); ++byte) {
    if (!next[byte]) continue;
    for (const TokenTrie::Slice& slice : trie_.slices()) {
      const uint32_t child = slice.children[byte];
      if (child != 0) FollowBelow(automaton, slice, child, mask);
    }
  }
}

const Configuration& TokenMasks::SuccessorOf(Automaton& automaton, uint8_t byte) {
  if (!successors_.known[byte]) {
    automaton.Step(successors_.from, byte, successors_.to[byte]);
    successors_.known[byte] = true;
  }
  return successors_.to[byte];
}

// The tokens of `child` and below, where successors_.from is what its parent led to.
void TokenMasks::FollowBelow(Automaton& automaton, const TokenTrie::Slice& slice, uint32_t child,
                             absl::Span<uint64_t> mask) {
  const uint32_t end = slice.nodes[child].end;
  const uint32_t top = slice.nodes[child].depth;
  const Configuration* first = nullptr;
  for (uint32_t i = child; i < end;) {
    const TokenTrie::Node& node = slice.nodes[i];
    const Configuration* now;
    if (i == child) {
      now = first = &SuccessorOf(automaton, node.byte);
    } else {
      const Configuration& from = node.depth == top + 1 ? *first : levels_[node.depth - 1];
      automaton.Step(from, node.byte, levels_[node.depth]);
      now = &levels_[node.depth];
    }
    if (!IsWithinLimits(automaton, *now)) return;
    if (now->dead()) {
      i = node.end;
      continue;
    }
    const bool safe = std::any_of(now->items.begin(), now->items.end(), [&](const Item& item) {
      const Terminal* terminal = automaton.grammar().TerminalOf(item.state);
      return terminal != nullptr && IsSafeBelow(*terminal, item.terminal(), slice, node);
    });
    SetBits(mask, safe ? slice.TokensWithin(i) : slice.TokensAt(i));
    i = safe ? node.end : i + 1;
  }
}

}  // namespace hearth
