// `hearth chat` as a person at a terminal sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/clients/child_process.h"
#include "tests/clients/scripted_daemon.h"

namespace hearth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Waits until the daemon has had `count` chats.
std::vector<v1::ChatRequest> Chats(const ScriptedDaemon& daemon, size_t count) {
  for (int i = 0; i < 2000 && daemon.chats().size() < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return daemon.chats();
}

std::string File(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + "conversation-test-" + name;
  std::ofstream(path) << content;
  return path;
}

constexpr char kCtrlC[] = "\x03";
constexpr char kCtrlD[] = "\x04";

ChildProcess Terminal(const ScriptedDaemon& daemon, const std::string& environment = "TERM=xterm",
                      const std::vector<std::string>& flags = {}) {
  std::vector<std::string> arguments = {HEARTH_CLI, "chat", "--address", daemon.address()};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return ChildProcess(arguments, ChildProcess::Stdio::kTerminal, {environment});
}

TEST(Conversation, KeepsItsHistoryUntilCleared) {
  ScriptedDaemon daemon({{"the reply"}, false, {}});
  ChildProcess child = Terminal(daemon);
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("first\n");
  ASSERT_TRUE(child.WaitFor("cached)"));
  child.Send("second\n");
  ASSERT_EQ(Chats(daemon, 2).size(), 2u);
  child.Send("/clear\nthird\n/quit\n");
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

TEST(Conversation, CommandsSetSystemToolsAndSchema) {
  ScriptedDaemon daemon({{"ok"}, false, {}});
  ChildProcess child = Terminal(daemon);
  const std::string tools = File("tools", R"([{"name":"now"}])");
  const std::string schema = File("schema", "{}");
  child.Send("/system Be brief\n/tools " + tools + "\nfirst\n");
  ASSERT_EQ(Chats(daemon, 1).size(), 1u);
  const v1::ChatRequest set = daemon.chats()[0];
  ASSERT_EQ(set.messages_size(), 2);
  EXPECT_EQ(set.messages(0).role(), v1::ROLE_SYSTEM);
  EXPECT_EQ(set.messages(0).content(), "Be brief");
  ASSERT_EQ(set.tools_size(), 1);
  child.Send("/json " + schema + "\n/tools\n/json " + schema + "\nsecond\n");
  ASSERT_EQ(Chats(daemon, 2).size(), 2u);
  EXPECT_EQ(daemon.chats()[1].options().constraint().json_schema(), "{}");
  child.Send("/tools " + tools + "\n/system\n/json\n/clear\n   \nthird\n/quit\n");
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* said : {"1 tools", "no tools", "the system message is set", "no system message",
                           "replies are text", "forgotten"}) {
    EXPECT_THAT(outcome.out, HasSubstr(said));
  }
  EXPECT_THAT(outcome.out, HasSubstr("hearth: /json: there are tools"));
  EXPECT_THAT(outcome.out, HasSubstr("hearth: /tools: replies are held to JSON"));
  const v1::ChatRequest unset = Chats(daemon, 3).at(2);
  EXPECT_EQ(unset.messages_size(), 1);
  EXPECT_EQ(unset.tools_size(), 0);
  EXPECT_FALSE(unset.options().has_constraint());
}

TEST(Conversation, ClearKeepsTheSystemMessage) {
  ScriptedDaemon daemon({{"ok"}, false, {}});
  ChildProcess child = Terminal(daemon, "TERM=xterm", {"--system", "Be brief"});
  child.Send("first\n/clear\nsecond\n/quit\n");
  EXPECT_EQ(child.Wait().exit_code, 0);
  const v1::ChatRequest second = Chats(daemon, 2).at(1);
  ASSERT_EQ(second.messages_size(), 2);
  EXPECT_EQ(second.messages(0).content(), "Be brief");
}

TEST(Conversation, WrongCommandsSayWhatIsWrongAndAreNotSent) {
  ScriptedDaemon daemon;
  ChildProcess child = Terminal(daemon);
  child.Send("/sytem x\n/tools /nonexistent\n/tools " + File("bad", "{}") +
             "\n/json /nonexistent\n/json " + File("text", "x") + "\n/help\n/quit\n");
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("hearth: /sytem: no such command"));
  EXPECT_THAT(outcome.out, HasSubstr("hearth: /nonexistent: cannot be read"));
  EXPECT_THAT(outcome.out, HasSubstr("hearth: tools: expected a JSON array"));
  EXPECT_THAT(outcome.out, HasSubstr("-text: not valid JSON"));
  for (const char* command : {"/tools", "/json", "/clear", "/help", "/quit"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("\n") + command));
  }
  EXPECT_EQ(daemon.chats().size(), 0u);
}

TEST(Conversation, MessagesMayHaveSeveralLines) {
  ScriptedDaemon daemon({{"ok"}, false, {}});
  ChildProcess child = Terminal(daemon);
  child.Send("one \\\ntwo\n\"\"\"\n/three\n\nfour\n\"\"\"\n/quit\n");
  EXPECT_EQ(child.Wait().exit_code, 0);
  const auto chats = Chats(daemon, 2);
  ASSERT_EQ(chats.size(), 2u);
  EXPECT_EQ(chats[0].messages(0).content(), "one \ntwo");
  EXPECT_EQ(chats[1].messages(2).content(), "/three\n\nfour");
}

TEST(Conversation, CallsThatAreCutOffAreForgotten) {
  v1::ToolCallDelta call;
  call.set_id("c1");
  call.set_name("weather");
  call.set_arguments("{\"city\":");
  ScriptedDaemon daemon({{"a reply"}, true, {}, {call}});
  ChildProcess child = Terminal(daemon, "TERM=xterm", {"--json"});
  ASSERT_TRUE(child.WaitFor("> "));
  child.Send("How is Rome?\n");
  ASSERT_TRUE(child.WaitFor("tool_call"));
  child.Send(kCtrlC);
  ASSERT_TRUE(child.WaitFor("^C> "));  // the prompt is back
  child.Send("And Oslo?\n");
  const auto chats = Chats(daemon, 2);
  ASSERT_EQ(chats.size(), 2u);
  ASSERT_EQ(chats[1].messages_size(), 1);
  EXPECT_EQ(chats[1].messages(0).content(), "And Oslo?");
}

TEST(Conversation, APersonAnswersToolCalls) {
  v1::ToolCallDelta call;
  call.set_id("c1");
  call.set_name("weather");
  call.set_arguments("{\"city\":\"Rome\"}");
  ScriptedDaemon daemon({{"It is sunny."}, false, {}, {call}});
  ChildProcess child = Terminal(daemon);
  child.Send("How is Rome?\n");
  ASSERT_TRUE(child.WaitFor("weather({\"city\":\"Rome\"})"));
  ASSERT_TRUE(child.WaitFor("weather returns> "));
  child.Send("sunny\n");
  ASSERT_TRUE(child.WaitFor("It is sunny."));
  child.Send("/quit\n");
  EXPECT_EQ(child.Wait().exit_code, 0);
  const auto chats = Chats(daemon, 2);
  ASSERT_EQ(chats.size(), 2u);
  ASSERT_EQ(chats[1].messages_size(), 3);
  EXPECT_EQ(chats[1].messages(1).tool_calls(0).arguments(), "{\"city\":\"Rome\"}");
  EXPECT_EQ(chats[1].messages(2).role(), v1::ROLE_TOOL);
  EXPECT_EQ(chats[1].messages(2).tool_call_id(), "c1");
  EXPECT_EQ(chats[1].messages(2).content(), "sunny");
}

}  // namespace
}  // namespace hearth::testing
