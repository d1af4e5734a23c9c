#include "server/http/connection_slots.h"

#include <sys/socket.h>

#include <tuple>

namespace hearth::server {
namespace {

// Evicted connections whose threads are on their way out; they run beside the limit.
constexpr size_t kMostLeaving = 16;

}  // namespace

size_t ConnectionSlots::held(const std::string& peer) const {
  const auto found = held_.find(peer);
  return found == held_.end() ? 0 : found->second;
}

void ConnectionSlots::Drop(const std::string& peer) {
  const auto found = held_.find(peer);
  if (--found->second == 0) held_.erase(found);
}

ConnectionSlots::Taken ConnectionSlots::Take(int fd, const std::string& peer) {
  std::lock_guard<std::mutex> lock(mutex_);
  const bool full = slots_.size() - leaving_ >= limit_;
  if (full && (leaving_ >= kMostLeaving || !Evict(peer))) return Taken::kNone;
  slots_[fd] = {.peer = peer, .waits_since = Clock::now()};
  ++held_[peer];
  return full ? Taken::kEvicted : Taken::kFree;
}

bool ConnectionSlots::Evict(const std::string& newcomer) {
  const size_t own = held(newcomer);
  auto victim = slots_.end();
  const auto rank = [this](const Slot& slot) {
    return std::tuple(held(slot.peer), -slot.waits_since.time_since_epoch());
  };
  for (auto it = slots_.begin(); it != slots_.end(); ++it) {
    const Slot& slot = it->second;
    if (slot.replying || slot.evicted) continue;
    if (slot.peer != newcomer && held(slot.peer) <= own) continue;
    if (victim == slots_.end() || rank(slot) > rank(victim->second)) victim = it;
  }
  if (victim == slots_.end()) return false;
  shutdown(victim->first, SHUT_RDWR);
  victim->second.evicted = true;
  ++leaving_;
  Drop(victim->second.peer);
  return true;
}

bool ConnectionSlots::BeginReply(int fd) {
  std::lock_guard<std::mutex> lock(mutex_);
  Slot& slot = slots_.at(fd);
  slot.replying = true;
  return !slot.evicted;
}

void ConnectionSlots::EndReply(int fd) {
  std::lock_guard<std::mutex> lock(mutex_);
  Slot& slot = slots_.at(fd);
  slot.replying = false;
  slot.waits_since = Clock::now();
}

void ConnectionSlots::Release(int fd) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = slots_.find(fd);
  if (found->second.evicted) {
    --leaving_;
  } else {
    Drop(found->second.peer);
  }
  slots_.erase(found);
}

void ConnectionSlots::Cut() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [fd, slot] : slots_) shutdown(fd, SHUT_RDWR);
}

}  // namespace hearth::server
