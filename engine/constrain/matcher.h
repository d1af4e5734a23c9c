// Follows one generation through its constraint.
#ifndef HEARTH_ENGINE_CONSTRAIN_MATCHER_H_
#define HEARTH_ENGINE_CONSTRAIN_MATCHER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/constrain/automaton.h"
#include "engine/constrain/constraint.h"
#include "engine/constrain/token_masks.h"
#include "engine/request.h"

namespace hearth {

// One per sequence; used by the thread of `masks`, but that Accept may be called on any thread
// while no other call is under way. All answers are functions of the constraint, the stop tokens
// and the accepted tokens.
class Matcher {
 public:
  // Call stacks are kept for reuse until they have so many frames beyond those that are needed.
  static constexpr size_t kSpareFrames = 1 << 10;
  // What one holds between two tokens, at most and about: spare stacks with their frames and index,
  // and three configurations in vectors that may be half empty.
  static constexpr size_t kBytes =
      kSpareFrames * 128 + 3 * 2 * Automaton::kMostItems * sizeof(Item);

  // stop_tokens: any of them ends the text, where it is whole and min_tokens were accepted.
  // Ids outside the vocabulary are ignored. `masks` must outlive the matcher.
  Matcher(std::shared_ptr<const Constraint> constraint, TokenMasks& masks,
          absl::Span<const TokenId> stop_tokens, int32_t min_tokens = 0);

  // Bit id % 64 of word id / 64: whether the token may come next. At least one may, as long as
  // IsOver() is false and the vocabulary has tokens for every byte. InvalidArgument as
  // TokenMasks::Fill. REQUIRES: mask.size() == masks.trie().words().
  absl::Status FillMask(absl::Span<uint64_t> mask);

  // False, and nothing changes, when the token may not come next. Where there are too many ways to
  // go on behind it the token is taken, and the next mask says so.
  bool Accept(TokenId token);

  // Nothing may come any more: a stop token came, or the text is whole and nothing can be added.
  bool IsOver() const {
    return stopped_ || (configuration_.items.empty() && !configuration_.too_many);
  }

  // Of the call stacks it holds, for which it takes memory.
  size_t frames() const { return automaton_.frames(); }

 private:
  void CompactStacks();
  // The text is whole, and a stop token may come.
  bool MayStop() const { return configuration_.complete && accepted_ >= min_tokens_; }

  const std::shared_ptr<const Constraint> constraint_;
  std::vector<TokenId> stop_tokens_;
  const int32_t min_tokens_;
  TokenMasks& masks_;
  Automaton automaton_;
  size_t compact_at_;  // frames of its stacks
  Configuration configuration_;
  Configuration next_, from_;  // reused from call to call
  int32_t accepted_ = 0;
  bool stopped_ = false;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_MATCHER_H_
