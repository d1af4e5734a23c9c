// A request on its way: its tokens, and how far their computation has come.
#ifndef HEARTH_ENGINE_SCHEDULER_SEQUENCE_H_
#define HEARTH_ENGINE_SCHEDULER_SEQUENCE_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "engine/request.h"
#include "engine/scheduler/fair_share.h"

namespace hearth {

// Invariants: a queued sequence has no blocks and nothing computed; a running one has the blocks
// of its computed and planned tokens, and at least one token left to compute.
struct Sequence {
  Sequence(RequestId sequence_id, Request asked)
      : id(sequence_id), request(std::move(asked)), tokens(request.prompt) {}

  const RequestId id;
  const Request request;
  // Since Add.
  uint64_t arrival = 0;  // its order
  Clock::time_point added;
  FairShare::Client* client = nullptr;

  std::vector<TokenId> tokens;  // the prompt and what was drawn
  int32_t computed = 0;         // leading tokens whose keys and values lie in the blocks
  int32_t planned = 0;          // tokens after them that the current step computes
  bool running = false;
  bool admitted = false;  // at least once: in the queue it was preempted

  std::vector<BlockId> blocks;
  std::vector<uint64_t> keys;  // of the full blocks of `tokens`, when prefixes are cached
  int32_t published = 0;       // leading blocks that the prefix index holds
  bool publishes = true;       // false once another chain holds one of its keys

  int32_t reached = 0;            // leading tokens computed once, whatever preemption took since
  int32_t cached_tokens = 0;      // prompt tokens that the prefix index gave
  int32_t completion_tokens = 0;  // tokens drawn, a final stop token included

  int32_t num_tokens() const { return static_cast<int32_t>(tokens.size()); }
  int32_t prompt_tokens() const { return static_cast<int32_t>(request.prompt.size()); }
  int32_t pending() const { return num_tokens() - computed; }

  // Whether computing `count` more tokens lets the next one be drawn.
  bool Draws(int32_t count) const { return count == pending() && request.max_tokens > 0; }
  // The first token that has to be computed for what it gives: it is wanted, and was not given
  // before a preemption. What is in front of it may be cached.
  int32_t FirstWanted() const {
    int32_t first = prompt_tokens() - 1;
    if (request.prompt_logits_from >= 0) first = std::min(first, FirstForetelling());
    if (request.pooling == Pooling::kMean) first = 0;
    return std::max(first, reached);
  }
  // Of the next `count` tokens, how many of the last ones are to give logits.
  int32_t LogitRows(int32_t count) const {
    const int32_t drawn = Draws(count) ? 1 : 0;
    if (request.prompt_logits_from < 0) return drawn;
    return std::max(drawn, computed + count - std::max({computed, reached, FirstForetelling()}));
  }
  // And how many are to be pooled.
  int32_t PooledRows(int32_t count) const {
    const int32_t end = computed + count;
    switch (request.pooling) {
      case Pooling::kNone:
        return 0;
      case Pooling::kMean:
        return std::max(0, std::min(end, prompt_tokens()) - std::max(computed, reached));
      case Pooling::kLast:
        return end == prompt_tokens() && reached < end ? 1 : 0;
    }
    return 0;
  }
  // The token after it is the first prompt token to be foretold.
  int32_t FirstForetelling() const { return std::max(0, request.prompt_logits_from - 1); }
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_SEQUENCE_H_
