// Ctrl-C: the first cancels the call that runs, a second one, or one with no call, exits.
#ifndef HEARTH_CLIENTS_CLI_INTERRUPT_H_
#define HEARTH_CLIENTS_CLI_INTERRUPT_H_

#include <grpcpp/client_context.h>

#include <mutex>
#include <thread>

namespace hearth::cli {

// Takes SIGINT in a thread of its own, where it may call into gRPC; a signal handler may not.
// REQUIRES: constructed before any other thread starts.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;

  // While it lives, the first Ctrl-C cancels `call`.
  class Scope {
   public:
    Scope(Interrupt& interrupt, grpc::ClientContext& call);
    ~Scope();
    Scope(const Scope&) = delete;

    bool cancelled() const;

   private:
    Interrupt& interrupt_;
  };

 private:
  void Run();

  mutable std::mutex mutex_;
  grpc::ClientContext* call_ = nullptr;  // guarded by mutex_, likewise below
  bool cancelled_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_INTERRUPT_H_
