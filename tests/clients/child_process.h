// Runs a program as a user would: with pipes, or on a terminal.
#ifndef HEARTH_TESTS_CLIENTS_CHILD_PROCESS_H_
#define HEARTH_TESTS_CLIENTS_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace hearth::testing {

struct Outcome {
  int exit_code;  // 128 + signal when one ended it
  std::string out;
  std::string err;
};

// Environment entries are "NAME=VALUE", added to this process's own.
class ChildProcess {
 public:
  enum class Stdio { kPipes, kTerminal };

  ChildProcess(const std::vector<std::string>& argv, Stdio stdio,
               const std::vector<std::string>& environment = {});
  ~ChildProcess();  // kills it

  void Send(const std::string& text);
  void CloseInput();
  void Signal(int signal);
  // Reads stdout (on a terminal: everything) until it holds `text`; false after ten seconds.
  bool WaitFor(const std::string& text);
  const std::string& output() const { return out_; }
  // Reads to the end of all output.
  Outcome Wait();

 private:
  bool ReadSome(int timeout_ms);  // false at the end of all output, or after the timeout

  pid_t pid_ = -1;
  int in_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;  // -1 on a terminal
  std::string out_;
  std::string err_;
};

// Runs it to its end with `input`.
Outcome RunProgram(const std::vector<std::string>& argv, const std::string& input = "",
                   const std::vector<std::string>& environment = {});

}  // namespace hearth::testing

#endif  // HEARTH_TESTS_CLIENTS_CHILD_PROCESS_H_
