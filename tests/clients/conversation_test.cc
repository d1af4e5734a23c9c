// `hearth chat` as a person at a terminal sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/clients/child_process.h"
#include "tests/clients/scripted_daemon.h"

namespace hearth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCtrlC[] = "\x03";
constexpr char kCtrlD[] = "\x04";

ChildProcess Terminal(const ScriptedDaemon& daemon, const std::string& environment = "TERM=xterm",
                      const std::vector<std::string>& flags = {}) {
  std::vector<std::string> arguments = {HEARTH_CLI, "chat", "--address", daemon.address()};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return ChildProcess(arguments, ChildProcess::Stdio::kTerminal, {environment});
}

TEST(Conversation, KeepsItsHistoryUntilNew) {
  ScriptedDaemon daemon({{"the reply"}, false, {}});
  ChildProcess child = Terminal(daemon);
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("first\n");
  ASSERT_TRUE(child.WaitFor("cached)"));
  child.Send("second\n");
  while (daemon.chats().size() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  child.Send("/new\nthird\n/quit\n");
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 0);
  const auto chats = daemon.chats();
  ASSERT_EQ(chats.size(), 3u);
  ASSERT_EQ(chats[1].messages_size(), 3);
  EXPECT_EQ(chats[1].messages(0).content(), "first");
  EXPECT_EQ(chats[1].messages(1).role(), v1::ROLE_ASSISTANT);
  EXPECT_EQ(chats[1].messages(1).content(), "the reply");
  EXPECT_EQ(chats[1].messages(2).content(), "second");
  ASSERT_EQ(chats[2].messages_size(), 1);
  EXPECT_EQ(chats[2].messages(0).content(), "third");
}

TEST(Conversation, KeepsItsHistoryInJsonToo) {
  ScriptedDaemon daemon({{"the ", "reply"}, false, {}});
  ChildProcess child = Terminal(daemon, "TERM=xterm", {"--json"});
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("first\n");
  ASSERT_TRUE(child.WaitFor("usage"));
  child.Send("second\n/quit\n");
  EXPECT_EQ(child.Wait().exit_code, 0);
  const auto chats = daemon.chats();
  ASSERT_EQ(chats.size(), 2u);
  ASSERT_EQ(chats[1].messages_size(), 3);
  EXPECT_EQ(chats[1].messages(1).role(), v1::ROLE_ASSISTANT);
  EXPECT_EQ(chats[1].messages(1).content(), "the reply");
}

TEST(Conversation, EndOfInputLeaves) {
  ScriptedDaemon daemon;
  ChildProcess child = Terminal(daemon);
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send(kCtrlD);
  EXPECT_EQ(child.Wait().exit_code, 0);
}

TEST(Conversation, CtrlCStopsTheReplyAndThenLeaves) {
  ScriptedDaemon daemon({{"slowly"}, true, {}});
  ChildProcess child = Terminal(daemon);
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("hello\n");
  ASSERT_TRUE(child.WaitFor("slowly"));
  child.Send(kCtrlC);
  ASSERT_TRUE(child.WaitFor("slowly^C\r\n> "));  // the prompt is back
  child.Send(kCtrlC);
  EXPECT_EQ(child.Wait().exit_code, 130);
  for (int i = 0; i < 1000 && daemon.cancelled() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(daemon.cancelled(), 1);
}

TEST(Conversation, FailedMessagesLeaveNoTrace) {
  ScriptedDaemon daemon({{}, false, {grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"}});
  ChildProcess child = Terminal(daemon);
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("one\n");
  ASSERT_TRUE(child.WaitFor("the queue is full"));
  child.Send("two\n/quit\n");
  EXPECT_EQ(child.Wait().exit_code, 0);
  const auto chats = daemon.chats();
  ASSERT_EQ(chats.size(), 2u);
  ASSERT_EQ(chats[1].messages_size(), 1);
  EXPECT_EQ(chats[1].messages(0).content(), "two");
}

TEST(Conversation, FiguresAreDimUnlessNoColor) {
  ScriptedDaemon daemon({{"x"}, false, {}});
  for (const char* environment : {"TERM=xterm", "NO_COLOR=1", "TERM=dumb"}) {
    ChildProcess child = Terminal(daemon, environment);
    child.Send("hello\n/quit\n");
    const Outcome outcome = child.Wait();
    EXPECT_THAT(outcome.out, HasSubstr("1 tokens, "));
    if (std::string(environment) == "TERM=xterm") {
      EXPECT_THAT(outcome.out, HasSubstr("\x1b[2m1 tokens, "));
    } else {
      EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
    }
  }
}

TEST(Conversation, RepliesCannotDriveTheTerminal) {
  ScriptedDaemon daemon({{"\x1b]0;title\x07"}, false, {}});
  ChildProcess child = Terminal(daemon, "TERM=dumb");
  child.Send("hello\n/quit\n");
  const Outcome outcome = child.Wait();
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(outcome.out, HasSubstr("\uFFFD]0;title\uFFFD"));
}

}  // namespace
}  // namespace hearth::testing
