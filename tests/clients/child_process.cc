#include "tests/clients/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace hearth::testing {
namespace {

// Only async-signal-safe work between fork and exec: gRPC's threads live in this process.
[[noreturn]] void Execute(char* const* argv, char* const* environment) {
  execve(argv[0], argv, environment);
  _exit(127);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

void CloseFd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv, Stdio stdio,
                           const std::vector<std::string>& environment) {
  std::vector<std::string> all = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) all.push_back(*entry);
  const std::vector<char*> args = Pointers(argv);
  const std::vector<char*> env = Pointers(all);
  if (stdio == Stdio::kTerminal) {
    pid_ = forkpty(&out_fd_, nullptr, nullptr, nullptr);
    if (pid_ == 0) Execute(args.data(), env.data());
    in_ = dup(out_fd_);
    return;
  }
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
    abort();
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    Execute(args.data(), env.data());
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  in_ = in[1];
  out_fd_ = out[0];
  err_fd_ = err[0];
}

ChildProcess::~ChildProcess() {
  CloseFd(in_);
  CloseFd(out_fd_);
  CloseFd(err_fd_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void ChildProcess::Send(const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = write(in_, text.data() + sent, text.size() - sent);
    if (n <= 0) return;
    sent += static_cast<size_t>(n);
  }
}

void ChildProcess::CloseInput() { CloseFd(in_); }

void ChildProcess::Signal(int signal) { kill(pid_, signal); }

bool ChildProcess::ReadSome(int timeout_ms) {
  pollfd fds[2] = {{out_fd_, POLLIN, 0}, {err_fd_, POLLIN, 0}};
  if (out_fd_ < 0 && err_fd_ < 0) return false;
  if (poll(fds, 2, timeout_ms) <= 0) return false;
  char buffer[4096];
  for (int i = 0; i < 2; ++i) {
    if (fds[i].revents == 0) continue;
    int& fd = i == 0 ? out_fd_ : err_fd_;
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) {
      (i == 0 ? out_ : err_).append(buffer, static_cast<size_t>(n));
    } else {
      CloseFd(fd);  // a terminal whose program ended reads EIO
    }
  }
  return true;
}

bool ChildProcess::WaitFor(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (out_.find(text) == std::string::npos) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    if (!ReadSome(100) && out_fd_ < 0) return false;
  }
  return true;
}

Outcome ChildProcess::Wait() {
  while (ReadSome(20'000)) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out_, err_};
}

Outcome RunProgram(const std::vector<std::string>& argv, const std::string& input,
                   const std::vector<std::string>& environment) {
  ChildProcess child(argv, ChildProcess::Stdio::kPipes, environment);
  child.Send(input);
  child.CloseInput();
  return child.Wait();
}

}  // namespace hearth::testing
