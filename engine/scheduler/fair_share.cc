#include "engine/scheduler/fair_share.h"

#include <algorithm>
#include <limits>

#include "engine/check.h"

namespace hearth {

FairShare::Client FairShare::Newcomer(const std::string& name) const {
  const auto found = clients_.find(name);
  Client client = found == clients_.end() ? Client() : found->second;
  if (client.waiting == 0) client.served = std::max(client.served, Floor());
  return client;
}

FairShare::Client* FairShare::Join(const std::string& name) {
  const Client newcomer = Newcomer(name);
  Client& client = clients_[name] = newcomer;
  ++client.waiting;
  ++client.live;
  ++live_;
  return &client;
}

void FairShare::Admit(Client* client, Priority priority, uint64_t cost, Clock::time_point now) {
  HEARTH_CHECK(client->waiting > 0);
  --client->waiting;
  last_floor_ = client->served;
  client->served += cost;
  client->last_admitted[static_cast<size_t>(priority)] = now;
}

void FairShare::Leave(Client* client, bool waiting) {
  HEARTH_CHECK(client->live > 0 && client->waiting >= (waiting ? 1 : 0));
  if (waiting) --client->waiting;
  --live_;
  if (--client->live == 0) Forget();
}

uint64_t FairShare::Floor() const {
  uint64_t lowest = std::numeric_limits<uint64_t>::max();
  for (const auto& [name, client] : clients_) {
    if (client.waiting > 0) lowest = std::min(lowest, client.served);
  }
  return lowest == std::numeric_limits<uint64_t>::max() ? last_floor_ : lowest;
}

void FairShare::Forget() {
  const bool idle = live_ == 0;  // nobody competes: all start anew
  if (idle) last_floor_ = 0;
  const uint64_t floor = Floor();
  absl::erase_if(clients_, [&](const auto& entry) {
    return entry.second.live == 0 && (idle || entry.second.served <= floor);
  });
}

}  // namespace hearth
