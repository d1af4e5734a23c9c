// `hearth` as scripts see it: arguments, pipes, exit codes.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/clients/child_process.h"
#include "tests/clients/scripted_daemon.h"

namespace hearth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Outcome Hearth(std::vector<std::string> args, const std::string& input = "",
               const std::vector<std::string>& environment = {}) {
  args.insert(args.begin(), HEARTH_CLI);
  return RunProgram(args, input, environment);
}

int Lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Cli, HelpAndVersionEverywhere) {
  for (const char* command : {"", "chat", "generate", "models", "load"}) {
    std::vector<std::string> args;
    if (*command) args.push_back(command);
    args.push_back("--help");
    const Outcome help = Hearth(args);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Usage:"));
    args.back() = "--version";
    const Outcome version = Hearth(args);
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_THAT(version.out, StartsWith("hearth "));
  }
}

TEST(Cli, C15_UsageErrorsExit64) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"unknown"},
      {"chat", "--unknown"},
      {"chat", "hello", "--max-tokens"},
      {"chat", "hello", "--max-tokens", "abc"},
      {"chat", "hello", "--max-tokens", "4294967297"},
      {"generate", "--seed", "-1"},
      {"models", "--address", "nowhere"},
      {"models", "--address", "unix:"},
      {"models", "--key-file", "/nonexistent"},
      {"load", "--interval", "0"},
  };
  for (const auto& args : wrong) {
    const Outcome outcome = Hearth(args);
    EXPECT_EQ(outcome.exit_code, 64) << (args.empty() ? "" : args.back());
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST(Cli, NobodyListeningExits69InOneLine) {
  for (const char* command : {"chat", "generate", "models", "load"}) {
    const Outcome outcome = Hearth({command, "--address", "127.0.0.1:1"}, "hello");
    EXPECT_EQ(outcome.exit_code, 69) << command;
    EXPECT_THAT(outcome.err, StartsWith("hearth: 127.0.0.1:1: "));
    EXPECT_EQ(Lines(outcome.err), 1);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(Cli, ChatSendsWhatTheFlagsSay) {
  ScriptedDaemon daemon({{"Hel", "lo"}, false, {}});
  const Outcome outcome = Hearth({"chat",          "Hi there",
                                  "--system",      "Be brief",
                                  "--max-tokens",  "9",
                                  "--temperature", "0",
                                  "--top-p",       "0.5",
                                  "--top-k",       "3",
                                  "--min-p",       "0.25",
                                  "--seed",        "18446744073709551615",
                                  "--stop",        "END",
                                  "--stop",        "STOP",
                                  "--address",     daemon.address()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "Hello\n");
  EXPECT_EQ(outcome.err, "");  // figures are for terminals
  ASSERT_EQ(daemon.chats().size(), 1u);
  const v1::ChatRequest request = daemon.chats()[0];
  ASSERT_EQ(request.messages_size(), 2);
  EXPECT_EQ(request.messages(0).role(), v1::ROLE_SYSTEM);
  EXPECT_EQ(request.messages(0).content(), "Be brief");
  EXPECT_EQ(request.messages(1).role(), v1::ROLE_USER);
  EXPECT_EQ(request.messages(1).content(), "Hi there");
  EXPECT_EQ(request.options().max_tokens(), 9);
  EXPECT_THAT(request.options().stop(), ::testing::ElementsAre("END", "STOP"));
  const v1::Sampling& sampling = request.options().sampling();
  EXPECT_TRUE(sampling.has_temperature());
  EXPECT_EQ(sampling.temperature(), 0);
  EXPECT_EQ(sampling.top_p(), 0.5f);
  EXPECT_EQ(sampling.top_k(), 3);
  EXPECT_EQ(sampling.min_p(), 0.25f);
  EXPECT_EQ(sampling.seed(), ~uint64_t{0});
  EXPECT_FALSE(sampling.has_frequency_penalty());
}

TEST(Cli, ChatTakesOneMessageFromAPipe) {
  ScriptedDaemon daemon({{"ok\n"}, false, {}});
  const Outcome outcome = Hearth({"chat", "--address", daemon.address()}, "line 1\nline 2\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "ok\n");  // no second newline
  ASSERT_EQ(daemon.chats().size(), 1u);
  EXPECT_EQ(daemon.chats()[0].messages(0).content(), "line 1\nline 2\n");
}

TEST(Cli, GenerateTakesTheArgumentOrStdinAsItIs) {
  ScriptedDaemon daemon({{"x"}, false, {}});
  EXPECT_EQ(Hearth({"generate", "Once", "--address", daemon.address()}).exit_code, 0);
  EXPECT_EQ(Hearth({"generate", "-", "--address", daemon.address()}, "a\nb\n").exit_code, 0);
  EXPECT_EQ(Hearth({"generate", "--address", daemon.address()}, "").exit_code, 0);
  const auto requests = daemon.generates();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].text(), "Once");
  EXPECT_EQ(requests[1].text(), "a\nb\n");
  EXPECT_TRUE(requests[2].has_text());
  EXPECT_EQ(requests[2].text(), "");
}

TEST(Cli, PipedTextIsPassedOnAsItIs) {
  ScriptedDaemon daemon({{"a\x1b[31mb"}, false, {}});
  EXPECT_EQ(Hearth({"generate", "x", "--address", daemon.address()}).out, "a\x1b[31mb\n");
}

TEST(Cli, JsonIsOneEventALine) {
  ScriptedDaemon daemon({{"a\n\"b\""}, false, {}});
  const Outcome outcome = Hearth({"generate", "x", "--json", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 0);
  std::istringstream lines(outcome.out);
  std::vector<v1::GenerateEvent> events;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &events.emplace_back()).ok())
        << line;
  }
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].accepted().id(), "feedbeef");
  EXPECT_EQ(events[1].delta().text(), "a\n\"b\"");
  EXPECT_EQ(events[2].finish().reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(events[3].usage().prompt_tokens(), 5);
}

TEST(Cli, KeyTravelsAsBearer) {
  ScriptedDaemon daemon;
  Hearth({"models", "--address", daemon.address()}, "", {"HEARTH_API_KEY=k-env"});
  EXPECT_EQ(daemon.authorization(), "Bearer k-env");
  const std::string path = ::testing::TempDir() + "cli-test-key";
  std::ofstream(path) << "k-file\n";
  Hearth({"load", "--key-file", path, "--address", daemon.address()});
  EXPECT_EQ(daemon.authorization(), "Bearer k-file");
  Hearth({"models", "--address", daemon.address()});
  EXPECT_EQ(daemon.authorization(), "");
}

TEST(Cli, AddressComesFromTheEnvironmentAndTheFlagWins) {
  ScriptedDaemon daemon;
  EXPECT_EQ(Hearth({"models"}, "", {"HEARTH_ADDRESS=" + daemon.address()}).exit_code, 0);
  EXPECT_EQ(Hearth({"models", "--address", daemon.address()}, "", {"HEARTH_ADDRESS=127.0.0.1:1"})
                .exit_code,
            0);
}

struct Failure {
  grpc::StatusCode code;
  int exit_code;
};

class CliFailure : public ::testing::TestWithParam<Failure> {};

TEST_P(CliFailure, SaysTheMessageInOneLine) {
  ScriptedDaemon daemon({{"part"}, false, {GetParam().code, "top_p: must be within (0, 1]"}});
  const Outcome outcome = Hearth({"generate", "x", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, GetParam().exit_code);
  EXPECT_EQ(outcome.out, "part\n");
  EXPECT_THAT(outcome.err, StartsWith("hearth: "));
  EXPECT_THAT(outcome.err, HasSubstr("top_p: must be within (0, 1]\n"));
  EXPECT_EQ(Lines(outcome.err), 1);
}

INSTANTIATE_TEST_SUITE_P(Codes, CliFailure,
                         ::testing::Values(Failure{grpc::StatusCode::INVALID_ARGUMENT, 64},
                                           Failure{grpc::StatusCode::UNAVAILABLE, 69},
                                           Failure{grpc::StatusCode::NOT_FOUND, 1},
                                           Failure{grpc::StatusCode::UNAUTHENTICATED, 1},
                                           Failure{grpc::StatusCode::RESOURCE_EXHAUSTED, 1}));

TEST(Cli, InterruptCancelsTheCallAndExits130) {
  ScriptedDaemon daemon({{"slowly"}, true, {}});
  ChildProcess child({HEARTH_CLI, "generate", "x", "--address", daemon.address()},
                     ChildProcess::Stdio::kPipes);
  ASSERT_TRUE(child.WaitFor("slowly"));
  child.Signal(SIGINT);
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_EQ(outcome.out, "slowly\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(Cli, AClosedStdoutCancelsTheCall) {
  ScriptedDaemon daemon({std::vector<std::string>(100, std::string(1000, 'x')), false, {}});
  const Outcome outcome = RunProgram(
      {"/bin/sh", "-c",
       std::string(HEARTH_CLI) + " generate x --address " + daemon.address() + " > /dev/full"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "hearth: stdout: cannot write\n");
}

TEST(Cli, ModelsAndLoadPrintFigures) {
  ScriptedDaemon daemon;
  const Outcome models = Hearth({"models", "--address", daemon.address()});
  EXPECT_EQ(models.exit_code, 0);
  EXPECT_THAT(models.out, StartsWith("phi-4-mini\n"));
  EXPECT_THAT(models.out, HasSubstr("3836.0 M parameters"));
  EXPECT_THAT(models.out, HasSubstr("no; generate only"));
  const Outcome load = Hearth({"load", "--address", daemon.address()});
  EXPECT_THAT(load.out, StartsWith("running 3/16  queued 0/0  KV 25% used"));
  EXPECT_THAT(Hearth({"load", "--json", "--address", daemon.address()}).out,
              HasSubstr("\"kv_blocks_total\":256"));
}

TEST(Cli, WatchGoesOnUntilInterrupted) {
  ScriptedDaemon daemon;
  ChildProcess child(
      {HEARTH_CLI, "load", "--watch", "--interval", "0.1", "--address", daemon.address()},
      ChildProcess::Stdio::kPipes);
  ASSERT_TRUE(child.WaitFor("tok/s"));
  child.Signal(SIGINT);
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.out, HasSubstr("100.0 tok/s"));  // ten in a tenth of a second
}

}  // namespace
}  // namespace hearth::testing
