// Decides what each engine step computes. Pure: no clock, no threads, no tensors, no randomness;
// time passes in as an argument, so a simulation can replay any run.
//
// There is no prefill phase and no decode phase: every step lets the computed tokens of a
// sequence catch up with the tokens it has. The one rule covers chunked prefill, prefix hits
// and preemption.
#ifndef HEARTH_ENGINE_SCHEDULER_SCHEDULER_H_
#define HEARTH_ENGINE_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/batch.h"
#include "engine/cache/prefix_index.h"
#include "engine/request.h"
#include "engine/scheduler/sequence.h"
#include "engine/scheduler/workload.h"

namespace hearth {

struct SchedulerOptions {
  int32_t num_blocks = 0;          // of the KV store
  int32_t max_running = 16;        // sequences with blocks; at most max_batch_tokens
  int32_t max_queued = 64;         // beyond it Add is refused with ResourceExhausted
  int32_t max_batch_tokens = 512;  // no Batch is larger
  bool prefix_cache = true;
  KeyFunction prefix_key = &ChainKey;        // tests weaken it
  std::chrono::milliseconds ageing{10'000};  // waiting so long raises the priority by one; 0: off
};

// How much one step may compute. Every decoding sequence gets its token first, whatever the
// budget; what is left, and at least min_chunk tokens, goes to prompts, in chunks of at most
// max_chunk.
struct Budget {
  int32_t max_tokens;
  int32_t max_chunk;
  int32_t min_chunk = 1;
  double row_tokens = 0;  // a row of logits is worth so many tokens

  double Worth(int32_t tokens, int32_t rows) const { return tokens + row_tokens * rows; }
  // The largest chunk worth no more than `room`, of `pending` tokens whose last `rows` give logits.
  // One token at least where there is room for one, whatever its row is worth.
  int32_t Chunk(int32_t pending, int32_t rows, double room) const;
};

struct DrawnToken {
  DrawnToken(Token drawn, bool is_last = false) : token(std::move(drawn)), last(is_last) {}

  Token token;
  bool last;  // nothing may follow: it completes what the request is held to
};

// What was drawn for one batch entry that draws.
using Drawn = absl::StatusOr<DrawnToken>;

struct Emission {
  RequestId request;
  Event event;
};

struct SchedulerStats {
  int32_t queued = 0;
  int32_t running = 0;
  int32_t blocks_total = 0;
  int32_t blocks_used = 0;    // referenced by a running sequence or a pin
  int32_t blocks_cached = 0;  // free to take, holding a reusable prefix
  int32_t blocks_pinned = 0;  // by all pins together: a block that two share counts twice
  uint64_t preemptions = 0;
  uint64_t cancellations = 0;
  uint64_t prompt_tokens_computed = 0;
  uint64_t prompt_tokens_cached = 0;
  uint64_t tokens_recomputed = 0;  // computed again after a preemption
  uint64_t tokens_generated = 0;
};

// Order. The queue goes by class (the priority, raised by ageing), preempted sequences first,
// then the client that was served least, then arrival. What is first in the queue and does not
// fit is waited for: nothing smaller overtakes it. Running sequences rank by class, then arrival:
// the best gets blocks and budget first, the worst is preempted. A request that fits the pool
// alone always ends: the best running sequence is never preempted for another, and only finitely
// many arrive before a request that ages.
//
// Prefixes: while a running sequence is computing a full block that a queued request also starts
// with, that request waits for the block and takes it from the cache; others may pass it meanwhile.
//
// Pins: the blocks of a pinned prefix stay when others are evicted and sequences preempted. They
// yield, the oldest first, only to a request that would not fit even alone beside them.
//
// Expiry is an error, never a short answer: Finish(kError) with Unavailable for queue_deadline (the
// request was never started; a retry is safe) and DeadlineExceeded for deadline.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  ~Scheduler();

  // A request as Add takes it, its prefix hashed. From any thread, whatever others do.
  std::unique_ptr<Sequence> Prepare(RequestId id, Request request) const;

  // Takes a request into the queue. ResourceExhausted when the queue is full, or its pin would hold
  // more than is left of a quarter of the pool; InvalidArgument when it could never fit the pool
  // even alone. REQUIRES: the id is new and not 0; a sequence is one that Prepare made.
  absl::Status Add(std::unique_ptr<Sequence> sequence, Clock::time_point now);
  absl::Status Add(RequestId id, Request request, Clock::time_point now);

  // Ends a queued or running request at once; its blocks are free before the next Schedule.
  // Emits Finish(kCancelled, `why`). Unknown or ended ids are ignored. REQUIRES: `why` is not OK.
  void Cancel(RequestId id, absl::Status why);

  // Likewise, but with Finish(kError, `why`): what was computed for it is of no use.
  void Fail(RequestId id, absl::Status why);

  // Expires deadlines, preempts, admits, and picks this step's work. The spans in the Batch hold
  // until the next call of a non-const member but Unpin and FlushPrefixCache. REQUIRES: time does
  // not run backwards.
  Batch Schedule(const Budget& budget, Clock::time_point now);

  // Takes the outcome of a Batch: `drawn` has one element per entry that draws, in
  // entry order. An error ends its request with Finish(kError). Requests cancelled since Schedule
  // are skipped. REQUIRES: `batch` is the latest one; it is applied once.
  void Apply(const Batch& batch, absl::Span<const Drawn> drawn);

  // Events since the last call, in the order they happened.
  std::vector<Emission> TakeEvents();

  // The request as it was added; valid until it ends. REQUIRES: it has not ended.
  const Request& request(RequestId id) const;

  // What there is to do if `arriving`, then `choices` times `asked` were added now. Asked about is
  // the last of these. REQUIRES: choices >= 1.
  Workload Foresee(const Sequence& asked, int32_t choices,
                   absl::Span<const Sequence* const> arriving, Clock::time_point now) const;

  bool idle() const;      // nothing queued, nothing running
  bool decoding() const;  // some running sequence has begun its output
  SchedulerStats stats() const;

  // Forgets every cached prefix no running sequence uses, pinned ones too.
  void FlushPrefixCache();
  // False when nothing is pinned under that name.
  bool Unpin(const std::string& name);

  // For tests: verifies every invariant, aborts with a message if one is broken.
  void CheckInvariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_SCHEDULER_H_
