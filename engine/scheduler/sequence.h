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
  Sequence(RequestId sequence_id, Request asked, uint64_t order, Clock::time_point now)
      : id(sequence_id),
        request(std::move(asked)),
        arrival(order),
        added(now),
        tokens(request.prompt) {}

  const RequestId id;
  const Request request;
  const uint64_t arrival;  // order of Add
  const Clock::time_point added;
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
  // Logits that computing `count` more tokens is to give: the last token's when it is the newest,
  // every token's that is computed the first time where all are wanted.
  int32_t LogitRows(int32_t count) const {
    if (request.prompt_logits) return std::max(0, computed + count - std::max(computed, reached));
    return count == pending() ? 1 : 0;
  }
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_SEQUENCE_H_
