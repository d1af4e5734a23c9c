// Ctrl-C: the first stops the call that runs, a second one, or one with no call, exits.
#ifndef HEARTH_CLIENTS_CLI_INTERRUPT_H_
#define HEARTH_CLIENTS_CLI_INTERRUPT_H_

#include <mutex>
#include <stop_token>
#include <thread>

namespace hearth::cli {

// Takes SIGINT in a thread of its own, where it may call into gRPC; a signal handler may not.
// REQUIRES: constructed before any other thread starts.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;

  // While it lives, the first Ctrl-C is a stop request.
  class Scope {
   public:
    explicit Scope(Interrupt& interrupt);
    ~Scope();
    Scope(const Scope&) = delete;

    std::stop_token token() const { return source_.get_token(); }

   private:
    Interrupt& interrupt_;
    std::stop_source source_;
  };

 private:
  void Run();

  std::mutex mutex_;
  std::stop_source* source_ = nullptr;  // guarded by mutex_, likewise below
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_INTERRUPT_H_
