// Row F22: log lines reach stderr when somebody reads it and never block when nobody does.
#include "server/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

// Puts a descriptor in the place of stderr for the life of the object.
class StderrTo {
 public:
  explicit StderrTo(int fd) : saved_(dup(STDERR_FILENO)) { dup2(fd, STDERR_FILENO); }
  ~StderrTo() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};

std::string ReadAll(int fd) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  char chunk[4096];
  for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;) all.append(chunk, n);
  return all;
}

class LogTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    unsetenv("JOURNAL_STREAM");
    const bool sockets = GetParam();
    ASSERT_EQ(sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds_) : pipe(fds_), 0);
  }
  void TearDown() override {
    close(fds_[0]);
    close(fds_[1]);
    unsetenv("JOURNAL_STREAM");
    StartLog(v1::info);
  }
  int fds_[2];
};

TEST_P(LogTest, LinesHaveTimeAndLevel) {
  StartLog(v1::info);
  {
    StderrTo redirect(fds_[1]);
    spdlog::debug("not at this level");
    spdlog::warn("low on {}", "blocks");
  }
  EXPECT_THAT(ReadAll(fds_[0]),
              MatchesRegex("2[0-9-]+T[0-9:.]+[+-][0-9:]+ warning: low on blocks\n"));
}

TEST_P(LogTest, JournalLinesHaveAPriority) {
  setenv("JOURNAL_STREAM", "8:1234", 1);
  StartLog(v1::debug);
  {
    StderrTo redirect(fds_[1]);
    spdlog::debug("a");
    spdlog::info("b");
    spdlog::warn("c");
    spdlog::error("d");
  }
  EXPECT_EQ(ReadAll(fds_[0]), "<7>a\n<6>b\n<4>c\n<3>d\n");
}

TEST_P(LogTest, LongLinesAreCut) {
  StartLog(v1::info);
  {
    StderrTo redirect(fds_[1]);
    spdlog::info(std::string(100000, 'x'));
    spdlog::info("next");
  }
  const std::string text = ReadAll(fds_[0]);
  EXPECT_LT(text.size(), 10000u);
  EXPECT_THAT(text, HasSubstr("x\n"));
  EXPECT_THAT(text, HasSubstr("info: next\n"));
}

TEST_P(LogTest, F22_BlockedReaderCostsLinesNotTime) {
  StartLog(v1::info);
  const uint64_t before = DroppedLogLines();
  const absl::Time start = absl::Now();
  constexpr int kLines = 20000;  // far more than a pipe or socket holds
  {
    StderrTo redirect(fds_[1]);
    for (int i = 0; i < kLines; ++i) spdlog::info("line {} {}", i, std::string(100, '.'));
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  const uint64_t dropped = DroppedLogLines() - before;
  EXPECT_GT(dropped, 0u);
  const std::string text = ReadAll(fds_[0]);
  EXPECT_EQ(static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')), kLines - dropped);
  {
    StderrTo redirect(fds_[1]);
    spdlog::info("read again");
  }
  EXPECT_THAT(ReadAll(fds_[0]), HasSubstr("read again"));
}

TEST_P(LogTest, F22_ClosedReaderIsSurvived) {
  StartLog(v1::info);
  signal(SIGPIPE, SIG_IGN);  // as the daemon does
  close(fds_[0]);
  {
    StderrTo redirect(fds_[1]);
    spdlog::info("to nobody");
  }
  signal(SIGPIPE, SIG_DFL);
  fds_[0] = dup(fds_[1]);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LogTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Socket" : "Pipe"; });

}  // namespace
}  // namespace hearth::server
