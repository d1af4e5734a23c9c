// Which tokens may come next. What was found for a place within a string or a number is kept: it
// does not depend on what is around it, and comes up again and again.
#ifndef HEARTH_ENGINE_CONSTRAIN_TOKEN_MASKS_H_
#define HEARTH_ENGINE_CONSTRAIN_TOKEN_MASKS_H_

#include <array>
#include <cstdint>
#include <list>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/constrain/automaton.h"
#include "engine/constrain/token_trie.h"

namespace hearth {

// One per engine; used by one thread at a time. The masks are functions of the grammar and the
// text alone: what is kept only makes them faster.
class TokenMasks {
 public:
  // The most memory that kept masks take, about.
  static constexpr size_t kBytes = size_t{16} << 20;
  // A mask takes at most so much work, some milliseconds: what has more ways to go on than a mask
  // can follow is refused, so that one request does not hold up the others. What was kept counts
  // as if it was not, so that a request fails always or never.
  static constexpr uint64_t kMostWork = 2'000'000;

  // `trie` must outlive the object.
  explicit TokenMasks(const TokenTrie& trie, size_t bytes = kBytes);

  const TokenTrie& trie() const { return trie_; }

  // Sets the bits of the tokens, markers among them, after which the document can still be
  // completed, and clears all others. InvalidArgument where that takes too much work; then the
  // mask is as it happens to be. REQUIRES: mask.size() == trie().words().
  absl::Status Fill(Automaton& automaton, const Configuration& configuration,
                    absl::Span<uint64_t> mask);

 private:
  // A node of a slice.
  struct Place {
    uint32_t slice;
    uint32_t node;
  };
  // The terminal's texts from here on, and how far into a character.
  using Key = std::tuple<uint64_t, uint64_t, uint32_t, Spelling>;
  struct Walk {
    Key key;
    MaskWords mask;               // tokens after which the terminal goes on, or ends
    std::vector<TokenId> tokens;  // the same where they are few; then there is no mask
    std::vector<Place> exits;     // where tokens go on after the terminal's end
    uint64_t work = 0;            // nodes that were looked at

    size_t bytes() const {
      return sizeof(Walk) + mask.size() * 8 + tokens.size() * 4 + exits.size() * 8 + 64;
    }
  };
  // A configuration with its successors, made when they are asked for.
  struct Successors {
    Configuration from;
    std::array<Configuration, 256> to;
    std::array<bool, 256> known{};
  };

  const Walk& WalkOf(const Terminal& terminal, Terminal::State state);
  void WalkSlice(const Terminal& terminal, Terminal::State start, uint32_t slice, Walk& walk);
  bool IsWithinLimits(const Automaton& automaton, const Configuration& configuration);
  void FollowExits(Automaton& automaton, const Walk& walk, StackId stack,
                   absl::Span<uint64_t> mask);
  void FollowItems(Automaton& automaton, absl::Span<uint64_t> mask);
  const Configuration& SuccessorOf(Automaton& automaton, uint8_t byte);
  void FollowBelow(Automaton& automaton, const TokenTrie::Slice& slice, uint32_t child,
                   absl::Span<uint64_t> mask);

  const TokenTrie& trie_;
  const size_t limit_;
  size_t kept_ = 0;
  std::list<Walk> walks_;  // the latest used first
  absl::flat_hash_map<Key, std::list<Walk>::iterator> by_key_;

  // Of the current call: walks' work, and what the automaton had done before.
  uint64_t walked_ = 0, work_before_ = 0;
  absl::flat_hash_set<Key> counted_;  // walks, which items at the same place share
  bool within_limits_ = true;

  // Reused from call to call.
  Successors successors_;
  std::vector<Configuration> levels_;
  std::vector<Terminal::State> states_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_TOKEN_MASKS_H_
