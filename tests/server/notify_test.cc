// Rows C18, C19 and F6: what the daemon says to systemd, and what it takes from it.
#include "server/notify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

// The receiving end of NOTIFY_SOCKET.
class FakeSystemd {
 public:
  FakeSystemd() : path_(absl::StrCat("/tmp/hearth_notify_test_", getpid())) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    unlink(path_.c_str());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~FakeSystemd() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
    unlink(path_.c_str());
  }
  // The next message, or "" when none comes in time.
  std::string Next(absl::Duration timeout) {
    pollfd readable = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1) return "";
    char text[4096];
    const ssize_t size = recv(fd_, text, sizeof(text), 0);
    return size < 0 ? "" : std::string(text, size);
  }

 private:
  std::string path_;
  int fd_;
};

TEST(Notify, C19_WithoutSystemdNothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  NotifyStatus("nobody hears this");
  NotifyReady();
  NotifyStopping();
}

TEST(Notify, TellsItsStates) {
  FakeSystemd systemd;
  NotifyStatus("Loading the model: 42%");
  EXPECT_EQ(systemd.Next(absl::Seconds(2)), "STATUS=Loading the model: 42%");
  NotifyReady();
  EXPECT_THAT(systemd.Next(absl::Seconds(2)), HasSubstr("READY=1"));
  NotifyStopping();
  EXPECT_THAT(systemd.Next(absl::Seconds(2)), HasSubstr("STOPPING=1"));
}

class WatchdogTest : public testing::Test {
 protected:
  void SetUp() override {
    setenv("WATCHDOG_USEC", "80000", 1);
    setenv("WATCHDOG_PID", absl::StrCat(getpid()).c_str(), 1);
  }
  void TearDown() override {
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
  }
  FakeSystemd systemd_;
};

TEST_F(WatchdogTest, F6_ProgressFeedsIt) {
  std::atomic<uint64_t> steps{0};
  const Watchdog watchdog([&steps] { return ++steps; });
  EXPECT_EQ(systemd_.Next(absl::Seconds(5)), "WATCHDOG=1");
  EXPECT_EQ(systemd_.Next(absl::Seconds(5)), "WATCHDOG=1");
}

TEST_F(WatchdogTest, F6_TimeAloneDoesNot) {
  std::atomic<uint64_t> steps{7};
  std::atomic<int> looks{0};
  const Watchdog watchdog([&] {
    ++looks;
    return steps.load();
  });
  EXPECT_EQ(systemd_.Next(absl::Milliseconds(300)), "");
  EXPECT_GE(looks, 3) << "it did look";
  ++steps;
  EXPECT_EQ(systemd_.Next(absl::Seconds(5)), "WATCHDOG=1");
  EXPECT_EQ(systemd_.Next(absl::Milliseconds(200)), "") << "one step, one message";
}

TEST_F(WatchdogTest, NeedsTheUnitToAskForIt) {
  unsetenv("WATCHDOG_USEC");
  std::atomic<uint64_t> steps{0};
  const Watchdog watchdog([&steps] { return ++steps; });
  EXPECT_EQ(systemd_.Next(absl::Milliseconds(150)), "");
}

// Descriptors from 3 on belong to the activation protocol: each case runs in a child.
class ActivationTest : public testing::Test {
 protected:
  // Runs TakeActivatedListeners with `fds` as descriptors 3, 4, … and returns "N http, M grpc"
  // or the error.
  std::string Take(const std::vector<int>& fds, const std::string& count, const std::string& names,
                   bool our_pid = true) {
    int pipe_fds[2];
    EXPECT_EQ(pipe(pipe_fds), 0);
    const pid_t child = fork();
    if (child == 0) {
      const int out = dup2(pipe_fds[1], 100);
      for (size_t i = 0; i < fds.size(); ++i) dup2(fds[i], 50 + static_cast<int>(i));
      for (int fd = 3; fd < 50; ++fd) close(fd);
      for (size_t i = 0; i < fds.size(); ++i) {
        dup2(50 + static_cast<int>(i), 3 + static_cast<int>(i));
      }
      setenv("LISTEN_FDS", count.c_str(), 1);
      setenv("LISTEN_FDNAMES", names.c_str(), 1);
      setenv("LISTEN_PID", absl::StrCat(getpid() + (our_pid ? 0 : 1)).c_str(), 1);
      const auto taken = TakeActivatedListeners();
      const std::string answer =
          taken.ok() ? absl::StrCat(Count(taken->http, "http"), ", ", Count(taken->grpc, "grpc"))
                     : std::string(taken.status().message());
      _exit(write(out, answer.data(), answer.size()) < 0);
    }
    close(pipe_fds[1]);
    std::string answer(4096, '\0');
    answer.resize(std::max<ssize_t>(0, read(pipe_fds[0], answer.data(), answer.size())));
    close(pipe_fds[0]);
    waitpid(child, nullptr, 0);
    return answer;
  }

  // "2 http", "2 http (1 tls)".
  static std::string Count(const std::vector<Listener>& listeners, const char* what) {
    const auto tls = std::count_if(listeners.begin(), listeners.end(),
                                   [](const Listener& listener) { return listener.is_tls(); });
    return absl::StrCat(listeners.size(), " ", what,
                        tls > 0 ? absl::StrCat(" (", tls, " tls)") : "");
  }

  int ListeningSocket() {
    auto listener = Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600);
    EXPECT_TRUE(listener.ok()) << listener.status();
    listeners_.push_back(*std::move(listener));
    return listeners_.back().fd();
  }

 private:
  std::vector<Listener> listeners_;
};

TEST_F(ActivationTest, NoneWithoutTheVariables) {
  unsetenv("LISTEN_FDS");
  const auto taken = TakeActivatedListeners();
  ASSERT_TRUE(taken.ok());
  EXPECT_TRUE(taken->http.empty() && taken->grpc.empty());
}

TEST_F(ActivationTest, NamesSayTheTransport) {
  const int a = ListeningSocket();
  const int b = ListeningSocket();
  const int c = ListeningSocket();
  EXPECT_EQ(Take({a, b, c}, "3", "http:grpc:http"), "2 http, 1 grpc");
  EXPECT_EQ(Take({a, b, c}, "3", "https:grpcs:http"), "2 http (1 tls), 1 grpc (1 tls)");
}

TEST_F(ActivationTest, C18_OfAnotherProcess) {
  EXPECT_THAT(Take({ListeningSocket()}, "1", "http", /*our_pid=*/false),
              HasSubstr("LISTEN_PID is another process's"));
}

TEST_F(ActivationTest, C18_WrongCount) {
  EXPECT_THAT(Take({ListeningSocket()}, "2", "http:grpc"), HasSubstr("socket activation"));
  EXPECT_THAT(Take({ListeningSocket()}, "0", ""), HasSubstr("socket activation"));
  EXPECT_THAT(Take({ListeningSocket()}, "many", "http"), HasSubstr("socket activation"));
  EXPECT_THAT(Take({ListeningSocket()}, "-1", "http"), HasSubstr("socket activation"));
}

TEST_F(ActivationTest, C18_WrongName) {
  EXPECT_THAT(Take({ListeningSocket()}, "1", "web"),
              HasSubstr("none of \"http\", \"https\", \"grpc\" and \"grpcs\""));
}

TEST_F(ActivationTest, C18_WrongKindOfDescriptor) {
  const int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int file[2];
  ASSERT_EQ(pipe(file), 0);
  for (const int fd : {datagram, silent, file[0]}) {
    EXPECT_THAT(Take({fd}, "1", "http"), HasSubstr("descriptor 3")) << fd;
    close(fd);
  }
  close(file[1]);
}

}  // namespace
}  // namespace hearth::server
