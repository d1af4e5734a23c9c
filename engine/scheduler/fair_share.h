// Fairness between clients by served cost: the virtual token counter of Sheng et al., "Fairness
// in Serving Large Language Models" (OSDI 2024). Every client has a counter of what it was
// served; the queue favours the lowest. A client that comes back after idling is lifted to the
// lowest counter in the queue, so that idling banks no credit.
#ifndef HEARTH_ENGINE_SCHEDULER_FAIR_SHARE_H_
#define HEARTH_ENGINE_SCHEDULER_FAIR_SHARE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/node_hash_map.h"
#include "engine/request.h"

namespace hearth {

// What a token costs: the paper's weights. An output token takes a step of its own, an input
// token shares one.
inline constexpr uint64_t kInputTokenCost = 1;
inline constexpr uint64_t kOutputTokenCost = 2;

class FairShare {
 public:
  struct Client {
    uint64_t served = 0;                               // the virtual counter
    int32_t waiting = 0;                               // requests never admitted yet
    int32_t live = 0;                                  // requests that have not ended
    std::array<Clock::time_point, 3> last_admitted{};  // by Priority: for ageing
  };

  // What `name` would be if a request of it entered the queue.
  Client Newcomer(const std::string& name) const;

  // A request of `name` enters the queue. The Client lives until its last request leaves.
  Client* Join(const std::string& name);

  // A request is admitted for the first time, and charged.
  void Admit(Client* client, Priority priority, uint64_t cost, Clock::time_point now);

  void Charge(Client* client, uint64_t cost) { client->served += cost; }

  // A request ends; `waiting` if it never was admitted.
  void Leave(Client* client, bool waiting);

  size_t num_clients() const { return clients_.size(); }

 private:
  uint64_t Floor() const;  // what a client that joins the queue is lifted to
  void Forget();           // idle clients whose counter would be lifted anyway

  absl::node_hash_map<std::string, Client> clients_;
  uint64_t last_floor_ = 0;  // counter of the client admitted last, for an empty queue
  int32_t live_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_FAIR_SHARE_H_
