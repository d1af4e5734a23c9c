// `hearth` as scripts see it: arguments, pipes, exit codes.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <ostream>
#include <sstream>

#include "tests/clients/child_process.h"
#include "tests/clients/scripted_daemon.h"

namespace hearth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
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
  for (const char* command : {"", "chat", "generate", "estimate", "embed", "score", "models",
                              "load", "top", "cancel", "pin", "unpin", "flush", "drain"}) {
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
      {"models", "--tls-ca", "/nonexistent"},
      {"models", "--tls-ca", "/dev/null", "--address", "tls:127.0.0.1:1"},
      {"models", "--address", "http://127.0.0.1:8080"},
      {"models", "--address", "127.0.0.1:73617"},
      {"chat", ""},
      {"chat"},
      {"generate"},
      {"generate", "--seed", "x"},
      {"top", "--interval", "0"},
      {"load", "--timeout", "-1"},
      {"chat", "x", "--regex", "a", "--choice", "b"},
      {"chat", "x", "--json-schema", "/nonexistent"},
      {"chat", "x", "--tools", "/dev/null"},
      {"chat", "x", "--priority", "urgent"},
      {"embed", "x", "--pooling", "max"},
      {"score"},
      {"score", "x"},
      {"cancel"},
      {"pin"},
      {"unpin"},
  };
  for (const auto& args : wrong) {
    const Outcome outcome = Hearth(args);
    EXPECT_EQ(outcome.exit_code, 64) << (args.empty() ? "" : args.back());
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, StartsWith("hearth: "));
    EXPECT_EQ(Lines(outcome.err), 1) << outcome.err;
  }
}

TEST(Cli, UsageErrorsNameWhatIsWrong) {
  EXPECT_EQ(Hearth({"foo"}).err, "hearth: foo: no such command; hearth --help shows them\n");
  EXPECT_EQ(Hearth({"chat", "-n", "2", "hi"}).err,
            "hearth: -n: not expected; see hearth chat --help\n");
  EXPECT_EQ(Hearth({"load", "more"}).err, "hearth: more: not expected; see hearth load --help\n");
  EXPECT_EQ(Hearth({"generate", "--seed", "-1"}).err,
            "hearth: --seed: expected a whole number, 0 or more; see hearth generate --help\n");
  EXPECT_EQ(Hearth({"chat"}).err, "hearth: MESSAGE: is empty\n");
  EXPECT_EQ(Hearth({"embed"}, "a\n\nb\n").err, "hearth: line 2: is empty\n");
}

TEST(Cli, NobodyListeningExits69InOneLine) {
  for (const char* command :
       {"chat", "generate", "estimate", "embed", "models", "load", "top", "flush", "drain"}) {
    const Outcome outcome = Hearth({command, "--address", "127.0.0.1:1"}, "hello");
    EXPECT_EQ(outcome.exit_code, 69) << command;
    EXPECT_EQ(outcome.err, "hearth: 127.0.0.1:1: nobody listens there; is hearthd running?\n");
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
  EXPECT_EQ(Hearth({"generate", "", "--address", daemon.address()}).exit_code, 0);
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
  const std::vector<std::vector<std::string>> commands = {
      {"chat", "x"},  {"generate", "x"}, {"estimate", "x"}, {"embed", "x"},  {"score", "x", "y"},
      {"models"},     {"load"},          {"top"},           {"cancel", "x"}, {"pin", "x", "y"},
      {"unpin", "x"}, {"flush"},         {"drain"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--address", "127.0.0.1:2"});
    EXPECT_THAT(Hearth(command, "", {"HEARTH_ADDRESS=127.0.0.1:1"}).err,
                StartsWith("hearth: 127.0.0.1:2: "))
        << command[0];
  }
}

struct Failure {
  grpc::StatusCode code;
  int exit_code;
};
void PrintTo(const Failure& failure, std::ostream* out) { *out << "status " << failure.code; }

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
  EXPECT_THAT(load.out, StartsWith("running 3/16  queued 0/64  KV 25% used"));
  EXPECT_THAT(Hearth({"load", "--json", "--address", daemon.address()}).out,
              HasSubstr("\"kv_blocks_total\":256"));
}

TEST(Cli, TopPrintsLinesUntilInterrupted) {
  ScriptedDaemon daemon({{}, true, {}});
  ChildProcess child({HEARTH_CLI, "top", "--interval", "0.1", "--address", daemon.address()},
                     ChildProcess::Stdio::kPipes);
  ASSERT_TRUE(child.WaitFor("tok/s"));
  child.Signal(SIGINT);
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.out, StartsWith("running 3/16  queued 0/64  KV 25% used"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(daemon.last<v1::WatchLoadRequest>().interval_ms(), 100);
}

TEST(Cli, TopEndsAsItsStreamDoes) {
  ScriptedDaemon daemon({{}, false, {grpc::StatusCode::UNAVAILABLE, "the daemon drains"}});
  const Outcome outcome =
      Hearth({"top", "--json", "--interval", "0.1", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 69);
  EXPECT_EQ(Lines(outcome.out), 3);
  EXPECT_THAT(outcome.out, HasSubstr("\"generated_tokens\":\"30\""));
  EXPECT_THAT(outcome.err, HasSubstr("the daemon drains"));
}

TEST(Cli, TopRedrawsOnATerminal) {
  ScriptedDaemon daemon;
  ChildProcess child({HEARTH_CLI, "top", "--interval", "0.1", "--address", daemon.address()},
                     ChildProcess::Stdio::kTerminal, {"TERM=xterm"});
  const Outcome outcome = child.Wait();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("running  [###                 ] 3 of 16"));
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[4A"));
  ChildProcess dumb({HEARTH_CLI, "top", "--interval", "0.1", "--address", daemon.address()},
                    ChildProcess::Stdio::kTerminal, {"TERM=dumb"});
  EXPECT_THAT(dumb.Wait().out, Not(HasSubstr("\x1b")));
}

std::string File(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + "cli-test-" + name;
  std::ofstream(path) << content;
  return path;
}

constexpr char kTools[] =
    R"([{"type":"function","function":{"name":"weather","description":"Of a city",
         "parameters":{"type":"object","properties":{"zone":{},"city":{}}},"strict":true}},
        {"name":"now"}])";

v1::ToolCallDelta Piece(const std::string& id, const std::string& name,
                        const std::string& arguments) {
  v1::ToolCallDelta piece;
  piece.set_id(id);
  piece.set_name(name);
  piece.set_arguments(arguments);
  return piece;
}

TEST(Cli, ChatSendsToolsAndWhatTheReplyMustBe) {
  ScriptedDaemon daemon({{"{}"}, false, {}});
  EXPECT_EQ(Hearth({"chat", "x", "--tools", File("tools", kTools), "--json-schema",
                    File("schema", "{\"type\":\"object\"}"), "--priority", "high", "--cache-key",
                    "k", "--drop-oldest", "--address", daemon.address()})
                .exit_code,
            0);
  const v1::ChatRequest request = daemon.chats().at(0);
  ASSERT_EQ(request.tools_size(), 2);
  EXPECT_EQ(request.tools(0).name(), "weather");
  EXPECT_EQ(request.tools(0).description(), "Of a city");
  EXPECT_EQ(request.tools(0).parameters(),
            R"({"type":"object","properties":{"zone":{},"city":{}}})");  // in its order
  EXPECT_EQ(request.tools(1).name(), "now");
  EXPECT_EQ(request.options().constraint().json_schema(), "{\"type\":\"object\"}");
  EXPECT_EQ(request.options().priority(), v1::PRIORITY_HIGH);
  EXPECT_EQ(request.options().cache_key(), "k");
  EXPECT_EQ(request.options().overflow(), v1::OVERFLOW_DROP_OLDEST);
  Hearth({"generate", "x", "--choice", "a", "--choice", "b", "--address", daemon.address()});
  EXPECT_THAT(daemon.generates().at(0).options().constraint().choice().texts(),
              ::testing::ElementsAre("a", "b"));
  Hearth({"generate", "x", "--regex", "a+", "--address", daemon.address()});
  EXPECT_EQ(daemon.generates().at(1).options().constraint().regex(), "a+");
}

TEST(Cli, ToolCallsOfOneMessageArePrinted) {
  ScriptedDaemon daemon(
      {{}, false, {}, {Piece("c1", "weather", "{\"city\":"), Piece("", "", "\"Rome\"}")}});
  const Outcome outcome = Hearth({"chat", "x", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "weather({\"city\":\"Rome\"})\n");
  EXPECT_EQ(daemon.chats().size(), 1u);
}

TEST(Cli, EstimateSendsTheMessageOrThePlainText) {
  ScriptedDaemon daemon;
  const Outcome outcome = Hearth({"estimate", "Hi", "--system", "Be brief", "--max-tokens", "7",
                                  "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "prompt  120 tokens, 96 of them cached\nreply   1024 tokens at most\n"
            "queue   place 3\ntime    first token in 400 ms, all in 12.5 s\n");
  const v1::ChatRequest chat = daemon.last<v1::EstimateRequest>().chat();
  ASSERT_EQ(chat.messages_size(), 2);
  EXPECT_EQ(chat.messages(1).content(), "Hi");
  EXPECT_EQ(chat.options().max_tokens(), 7);
  EXPECT_THAT(Hearth({"estimate", "--plain", "--json", "--address", daemon.address()}, "text").out,
              HasSubstr("\"total_ms\":\"12500\""));
  EXPECT_EQ(daemon.last<v1::EstimateRequest>().generate().text(), "text");
}

TEST(Cli, EmbedTakesArgumentsOrLines) {
  ScriptedDaemon daemon;
  const Outcome arguments =
      Hearth({"embed", "abc", "de", "--pooling", "last", "--address", daemon.address()});
  EXPECT_EQ(arguments.exit_code, 0) << arguments.err;
  EXPECT_EQ(arguments.out, "3 1.5\n2 1\n");
  EXPECT_EQ(daemon.last<v1::EmbedRequest>().pooling(), v1::EmbedRequest::LAST);
  EXPECT_EQ(Hearth({"embed", "--address", daemon.address()}, "abc\nde\n").out, "3 1.5\n2 1\n");
  EXPECT_EQ(Hearth({"embed", "--address", daemon.address()}, "").out, "");
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "x\n";
  const Outcome many = Hearth({"embed", "--json", "--address", daemon.address()}, lines);
  EXPECT_EQ(Lines(many.out), 2);  // 256 and the rest
  EXPECT_EQ(daemon.last<v1::EmbedRequest>().inputs_size(), 44);
  std::vector<std::string> words = {"embed", "--address", daemon.address()};
  words.resize(words.size() + 300, "x");
  EXPECT_EQ(Lines(Hearth(words).out), 300);
  EXPECT_EQ(daemon.last<v1::EmbedRequest>().inputs_size(), 44);
}

TEST(Cli, ScoreShowsEachCandidate) {
  ScriptedDaemon daemon;
  const Outcome outcome =
      Hearth({"score", "Is it?", "yes", "perhaps", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "   -3.0000  yes\n   -7.0000  perhaps\n");
  EXPECT_EQ(daemon.last<v1::ScoreRequest>().chat().messages(0).content(), "Is it?");
  Hearth({"score", "Once", "a", "--plain", "--address", daemon.address()});
  EXPECT_EQ(daemon.last<v1::ScoreRequest>().text(), "Once");
}

TEST(Cli, CancelSaysWhetherItFoundIt) {
  ScriptedDaemon daemon;
  EXPECT_EQ(Hearth({"cancel", "feedbeef", "--address", daemon.address()}).exit_code, 0);
  const Outcome outcome = Hearth({"cancel", "other", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, StartsWith("hearth: other: "));
}

TEST(Cli, PinsAndUnpins) {
  ScriptedDaemon daemon;
  const Outcome pin = Hearth({"pin", "greeting", "--system", "Be brief", "--cache-key", "k",
                              "--address", daemon.address()});
  EXPECT_EQ(pin.exit_code, 0) << pin.err;
  EXPECT_EQ(pin.out, "64 tokens stay cached\n");
  const auto request = daemon.last<v1::PinPrefixRequest>();
  EXPECT_EQ(request.name(), "greeting");
  EXPECT_EQ(request.cache_key(), "k");
  ASSERT_EQ(request.chat().messages_size(), 1);
  EXPECT_EQ(request.chat().messages(0).role(), v1::ROLE_SYSTEM);
  Hearth({"pin", "p", "-", "--plain", "--address", daemon.address()}, "text");
  EXPECT_EQ(daemon.last<v1::PinPrefixRequest>().text(), "text");
  EXPECT_EQ(Hearth({"unpin", "greeting", "--address", daemon.address()}).exit_code, 0);
  EXPECT_EQ(daemon.last<v1::UnpinPrefixRequest>().name(), "greeting");
}

TEST(Cli, FlushesAndDrains) {
  ScriptedDaemon daemon;
  const Outcome flush = Hearth({"flush", "--address", daemon.address()});
  EXPECT_EQ(flush.exit_code, 0) << flush.err;
  EXPECT_EQ(flush.out, "");
  EXPECT_EQ(Hearth({"drain", "--address", daemon.address()}).out, "2 generations still run\n");
  EXPECT_EQ(Hearth({"drain", "--json", "--address", daemon.address()}).out, "{\"under_way\":2}\n");
}

TEST(Cli, TimeoutEndsTheCall) {
  ScriptedDaemon daemon({{"slowly"}, true, {}});
  const Outcome outcome =
      Hearth({"generate", "x", "--timeout", "0.2", "--address", daemon.address()});
  EXPECT_EQ(outcome.exit_code, 75);
  EXPECT_EQ(outcome.out, "slowly\n");
  EXPECT_EQ(outcome.err, "hearth: no answer within 0.2 s\n");
}

TEST(Cli, ErrorsWithoutMessageSayTheirCode) {
  ScriptedDaemon daemon({{}, false, {grpc::StatusCode::UNIMPLEMENTED, ""}});
  EXPECT_EQ(Hearth({"flush", "--address", daemon.address()}).err, "hearth: UNIMPLEMENTED\n");
}

}  // namespace
}  // namespace hearth::testing
