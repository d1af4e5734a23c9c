// The thread that moves the outputs of generations into their gRPC streams. One thread for all of
// them: a stalled reader costs its stream, never a thread, and the engine thread, whose events
// only post here, never waits for a socket.
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

class GenerationStream;

// Safe from any thread, its own included, except Stop and AwaitIdle.
class WriteLoop {
 public:
  enum class Signal {
    kReady,    // the session has an output
    kWritten,  // gRPC took the last message
    kBroken,   // gRPC takes no more: the client is gone
  };

  // Streams whose reader takes nothing for `write_timeout` are cut, within a quarter more.
  explicit WriteLoop(std::chrono::milliseconds write_timeout);
  ~WriteLoop();  // Stop

  // A stream lives from Add to Remove; what is posted for it afterwards is lost.
  void Add(std::shared_ptr<GenerationStream> stream);
  void Remove(GenerationStream* stream);
  void Post(GenerationStream* stream, Signal signal);

  // True once no stream lives, false when `limit` passes first.
  bool AwaitIdle(std::chrono::milliseconds limit);
  // Joins the thread. What is posted afterwards is lost.
  void Stop();

 private:
  using Clock = std::chrono::steady_clock;

  void Run();
  void CutStalled();

  const std::chrono::milliseconds write_timeout_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::unordered_map<GenerationStream*, std::shared_ptr<GenerationStream>> streams_;
  std::vector<std::pair<std::shared_ptr<GenerationStream>, Signal>> posted_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_WRITE_LOOP_H_
