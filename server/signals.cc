#include "server/signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

#include "engine/check.h"

namespace hearth::server {
namespace {

sigset_t SetOf(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t set = SetOf({SIGTERM, SIGINT, SIGHUP});
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  HEARTH_CHECK(fd_ >= 0);
}

Signals::~Signals() { close(fd_); }

std::optional<int> Signals::Wait(int other_fd) {
  for (;;) {
    pollfd fds[] = {{.fd = fd_, .events = POLLIN, .revents = 0},
                    {.fd = other_fd, .events = POLLIN, .revents = 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return std::nullopt;
    signalfd_siginfo info;
    if (read(fd_, &info, sizeof(info)) == sizeof(info)) return static_cast<int>(info.ssi_signo);
    if (fds[1].revents != 0) return std::nullopt;
  }
}

void Signals::LetKill() {
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  const sigset_t set = SetOf({SIGTERM, SIGINT});
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace hearth::server
