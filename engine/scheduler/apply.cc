// What Scheduler::Apply does with one entry of a batch.
#include <algorithm>

#include "engine/scheduler/state.h"

namespace hearth {

// The planned tokens are computed.
void Scheduler::State::Advance(Sequence& sequence) {
  const int32_t count = sequence.planned;
  sequence.computed += count;
  sequence.planned = 0;
  blocks.Publish(sequence);

  const int32_t first_time = std::max(0, sequence.computed - sequence.reached);
  const int32_t of_prompt =
      std::min(first_time, std::max(0, sequence.prompt_tokens() - sequence.reached));
  sequence.reached += first_time;
  totals.tokens_recomputed += count - first_time;
  totals.prompt_tokens_computed += of_prompt;
  if (of_prompt == 0) return;
  Emit(sequence, Progress{.prompt_tokens = sequence.prompt_tokens(),
                          .computed_tokens = std::min(sequence.reached, sequence.prompt_tokens()),
                          .cached_tokens = sequence.cached_tokens});
}

void Scheduler::State::Accept(Sequence& sequence, const Drawn& drawn) {
  if (!drawn.ok()) return End(sequence, FinishReason::kError, drawn.status());
  const Request& request = sequence.request;
  const bool may_stop = sequence.completion_tokens >= request.min_tokens;
  ++sequence.completion_tokens;
  ++totals.tokens_generated;
  clients.Charge(sequence.client, kOutputTokenCost);
  const TokenId id = drawn->token.id;
  if (may_stop && std::count(request.stop_tokens.begin(), request.stop_tokens.end(), id)) {
    return End(sequence, FinishReason::kStop, absl::OkStatus());
  }
  Emit(sequence, drawn->token);
  if (drawn->last) return End(sequence, FinishReason::kStop, absl::OkStatus());
  if (sequence.completion_tokens >= request.max_tokens) {
    return End(sequence, FinishReason::kLength, absl::OkStatus());
  }
  sequence.tokens.push_back(id);
  blocks.ExtendKeys(sequence);
}

// The prompt was all that was asked for.
void Scheduler::State::EndAfterPrompt(Sequence& sequence) {
  absl::Status status = absl::OkStatus();
  if (!sequence.request.pin.empty()) status = blocks.Pin(sequence.request.pin, sequence);
  End(sequence, status.ok() ? FinishReason::kLength : FinishReason::kError, status);
}

}  // namespace hearth
