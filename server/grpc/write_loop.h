// The thread that moves what is computed into gRPC calls. One thread for all of them: a stalled
// reader costs its call, never a thread, and the engine thread, whose events only post here, never
// waits for a socket.
#ifndef HEARTH_SERVER_GRPC_WRITE_LOOP_H_
#define HEARTH_SERVER_GRPC_WRITE_LOOP_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hearth::server {

// Safe from any thread, its own included, except Stop and AwaitIdle.
class WriteLoop {
 public:
  enum class Signal {
    kReady,    // there is something to write
    kWritten,  // gRPC took the last message
    kBroken,   // gRPC takes no more: the client is gone
    kClosing,  // the server is about to end: what would go on for ever ends now
  };

  // A call that answers later. Its members run on the loop's thread.
  class Call {
   public:
    virtual ~Call() = default;
    virtual void OnSignal(Signal signal) = 0;
    // Ends the call when gRPC has not taken what it got before `oldest`.
    virtual void CutIfWritingSince(std::chrono::steady_clock::time_point oldest) = 0;
    // Ends the call: one of the others threw.
    virtual void Fail() noexcept = 0;
  };

  // Calls whose reader takes nothing for `write_timeout` are cut, within a quarter more.
  explicit WriteLoop(std::chrono::milliseconds write_timeout);
  ~WriteLoop();  // Stop

  // A call lives from Add to Remove; what is posted for it afterwards is lost.
  void Add(std::shared_ptr<Call> call);
  void Remove(Call* call);
  void Post(Call* call, Signal signal);
  void PostAll(Signal signal);

  // True once no call lives, false when `limit` passes first.
  bool AwaitIdle(std::chrono::milliseconds limit);
  // Joins the thread. What is posted afterwards is lost.
  void Stop();

 private:
  using Clock = std::chrono::steady_clock;

  void Run();
  void CutStalled();
  // bad_alloc, first of all, costs the call that it came to.
  template <typename Do>
  static void Guard(Call& call, const Do& act);

  const std::chrono::milliseconds write_timeout_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::unordered_map<Call*, std::shared_ptr<Call>> calls_;
  std::vector<std::pair<std::shared_ptr<Call>, Signal>> posted_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_WRITE_LOOP_H_
