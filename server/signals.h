// Termination signals as values: a thread waits for them, nothing runs inside a signal handler.
#ifndef HEARTH_SERVER_SIGNALS_H_
#define HEARTH_SERVER_SIGNALS_H_

#include <csignal>
#include <optional>

namespace hearth::server {

class Signals {
 public:
  // Blocks SIGTERM, SIGINT and SIGHUP here and in every thread started later; ignores SIGPIPE.
  // REQUIRES: called before any other thread starts, once.
  Signals();
  ~Signals();

  // Waits for the next signal, or until `other_fd` is readable (nullopt; -1: signals alone).
  std::optional<int> Wait(int other_fd = -1);

  // From now on SIGTERM and SIGINT end the process at once, also one that has already arrived.
  // Called on the thread that made this object.
  void LetKill();

 private:
  int fd_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_SIGNALS_H_
