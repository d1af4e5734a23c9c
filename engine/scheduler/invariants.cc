#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "engine/check.h"
#include "engine/scheduler/state.h"

namespace hearth {
namespace {

void CheckQueued(const Sequence& sequence) {
  HEARTH_CHECK(!sequence.running && sequence.blocks.empty());
  HEARTH_CHECK(sequence.computed == 0 && sequence.planned == 0 && sequence.published == 0);
  HEARTH_CHECK(sequence.admitted || (sequence.completion_tokens == 0 && sequence.reached == 0));
}

void CheckRunning(const Sequence& sequence) {
  HEARTH_CHECK(sequence.running && sequence.admitted);
  HEARTH_CHECK(sequence.computed >= 0 && sequence.pending() >= 1);
  HEARTH_CHECK(sequence.planned >= 0 && sequence.planned <= sequence.pending());
  HEARTH_CHECK(sequence.computed <= sequence.reached + sequence.planned);
}

void CheckTokens(const Sequence& sequence) {
  HEARTH_CHECK(sequence.num_tokens() == sequence.prompt_tokens() + sequence.completion_tokens);
  HEARTH_CHECK(sequence.completion_tokens < std::max(1, sequence.request.max_tokens));
  HEARTH_CHECK(sequence.cached_tokens <= sequence.prompt_tokens());
}

}  // namespace

void Scheduler::CheckInvariants() const {
  const State& state = *state_;
  struct Counts {
    int32_t live = 0;
    int32_t waiting = 0;
  };
  absl::flat_hash_map<const FairShare::Client*, Counts> clients;
  absl::flat_hash_map<RequestId, int32_t> listed;
  for (const Sequence* sequence : state.queue) CheckQueued(*sequence), ++listed[sequence->id];
  for (const Sequence* sequence : state.running) CheckRunning(*sequence), ++listed[sequence->id];
  HEARTH_CHECK(listed.size() == state.live.size());
  for (const auto& [id, sequence] : state.live) {
    HEARTH_CHECK(sequence->id == id && listed[id] == 1);
    CheckTokens(*sequence);
    ++clients[sequence->client].live;
    if (!sequence->admitted) ++clients[sequence->client].waiting;
  }
  for (const auto& [client, counts] : clients) {
    HEARTH_CHECK(client->live == counts.live && client->waiting == counts.waiting);
  }
  HEARTH_CHECK(static_cast<int32_t>(state.running.size()) <= state.options.max_running);
  state.blocks.CheckInvariants(state.running);
}

}  // namespace hearth
