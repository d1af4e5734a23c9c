// What one engine step computes. Rank 0.
#ifndef HEARTH_ENGINE_BATCH_H_
#define HEARTH_ENGINE_BATCH_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/request.h"

namespace hearth {

using BlockId = int32_t;

// Tokens per KV block. A block's K and V of one layer and one kv head lie together.
inline constexpr int32_t kBlockTokens = 32;

// Blocks that hold so many tokens.
constexpr int32_t BlocksFor(int64_t num_tokens) {
  return static_cast<int32_t>((num_tokens + kBlockTokens - 1) / kBlockTokens);
}

// One sequence's part of a step: tokens [start, start + tokens.size()) are computed.
// The spans point into the scheduler's sequences and hold until the next Schedule.
struct BatchEntry {
  RequestId request;
  absl::Span<const TokenId> tokens;  // not empty
  int32_t start;                     // position of tokens[0]
  absl::Span<const BlockId> blocks;  // block table; covers every position < start + size
  RopeRegime regime;
  int32_t logit_rows = 0;   // logits wanted for the last so many tokens
  int32_t pooled_rows = 0;  // the last so many tokens are pooled
  bool draws = false;       // the next token is drawn from the last logits; not in mid-prompt
};

struct Batch {
  std::vector<BatchEntry> entries;
  int32_t num_tokens = 0;  // sum of tokens.size()

  bool empty() const { return entries.empty(); }
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_BATCH_H_
