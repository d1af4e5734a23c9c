#include "clients/cli/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "clients/cli/command.h"

namespace hearth::cli {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

[[noreturn]] void ExitAtOnce() {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "\n", 1);
  _exit(kExitInterrupted);
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { Run(); });
}

Interrupt::~Interrupt() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGINT);  // blocked there too: it only wakes sigwait
  thread_.join();
}

void Interrupt::Run() {
  const sigset_t set = Signals();
  while (true) {
    int signal = 0;
    sigwait(&set, &signal);
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    if (source_ == nullptr || !source_->request_stop()) ExitAtOnce();
  }
}

Interrupt::Scope::Scope(Interrupt& interrupt) : interrupt_(interrupt) {
  std::lock_guard<std::mutex> lock(interrupt_.mutex_);
  interrupt_.source_ = &source_;
}

Interrupt::Scope::~Scope() {
  std::lock_guard<std::mutex> lock(interrupt_.mutex_);
  interrupt_.source_ = nullptr;
}

}  // namespace hearth::cli
