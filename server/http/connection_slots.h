// The connections a server has room for, shared so that one client cannot keep the others out.
#ifndef HEARTH_SERVER_HTTP_CONNECTION_SLOTS_H_
#define HEARTH_SERVER_HTTP_CONNECTION_SLOTS_H_

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

namespace hearth::server {

// A connection either waits for a whole request (idle, silent, or sending it slowly) or is given a
// reply. When all slots are taken, a newcomer gets that of a waiting connection: of the peer that
// holds the most slots, and more than the newcomer's, the one that has waited longest. Safe from
// any thread.
class ConnectionSlots {
 public:
  enum class Taken { kFree, kEvicted, kNone };

  explicit ConnectionSlots(size_t limit) : limit_(limit) {}

  // kEvicted: for this connection another one was shut down. kNone: there is no slot.
  Taken Take(int fd, const std::string& peer);
  // Around a reply, during which the connection keeps its slot. False: it has lost it already.
  bool BeginReply(int fd);
  void EndReply(int fd);
  // Before `fd` is closed and its number names another connection.
  void Release(int fd);
  // Shuts every connection down.
  void Cut();

 private:
  using Clock = std::chrono::steady_clock;
  struct Slot {
    std::string peer;
    Clock::time_point waits_since;
    bool replying = false;
    bool evicted = false;
  };

  bool Evict(const std::string& newcomer);
  size_t held(const std::string& peer) const;
  void Drop(const std::string& peer);

  const size_t limit_;
  std::mutex mutex_;
  std::unordered_map<int, Slot> slots_;           // by fd; guarded by mutex_, likewise below
  std::unordered_map<std::string, size_t> held_;  // by peer, without the evicted
  size_t leaving_ = 0;                            // evicted and not yet released
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_CONNECTION_SLOTS_H_
