// `hearth` and a real `hearthd` with a small random model, over a Unix socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "tests/clients/child_process.h"

namespace hearth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HearthAndHearthd : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string base = ::testing::TempDir() + "hearth-cli-" + std::to_string(getpid());
    address_ = "unix:" + base + ".grpc";
    daemon_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{HEARTH_DAEMON, "serve", "--model",
                                 std::string(HEARTH_BIN_DIR) + "/../models/tiny-q8_0.gguf",
                                 "--grpc", address_, "--http", "unix:" + base + ".http"},
        ChildProcess::Stdio::kPipes);
    for (int i = 0; i < 400 && Hearth({"load"}).exit_code != 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
  }
  static void TearDownTestSuite() { daemon_.reset(); }

  static Outcome Hearth(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), HEARTH_CLI);
    args.insert(args.end(), {"--address", address_});
    return RunProgram(args, input);
  }

  static std::string address_;
  static std::unique_ptr<ChildProcess> daemon_;
};

std::string HearthAndHearthd::address_;
std::unique_ptr<ChildProcess> HearthAndHearthd::daemon_;

TEST_F(HearthAndHearthd, ModelsAndLoad) {
  const Outcome models = Hearth({"models"});
  EXPECT_EQ(models.exit_code, 0) << models.err;
  EXPECT_THAT(models.out, HasSubstr("Q8_0"));
  EXPECT_THAT(Hearth({"load"}).out, StartsWith("running 0/"));
}

TEST_F(HearthAndHearthd, TheSameSeedGivesTheSameText) {
  const std::vector<std::string> args = {"generate", "Once", "--seed", "7", "--max-tokens", "24"};
  const Outcome first = Hearth(args);
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_EQ(Hearth(args).out, first.out);
  const Outcome other = Hearth({"generate", "Once", "--seed", "8", "--max-tokens", "24"});
  EXPECT_NE(other.out, first.out);
}

TEST_F(HearthAndHearthd, ChatAnswersAPipe) {
  const Outcome outcome = Hearth({"chat", "--max-tokens", "8", "--json"}, "hello");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("{\"accepted\":{"));
  EXPECT_THAT(outcome.out, HasSubstr("{\"usage\":{"));
}

TEST_F(HearthAndHearthd, RefusalsNameTheField) {
  const Outcome range = Hearth({"generate", "x", "--temperature", "3"});
  EXPECT_EQ(range.exit_code, 64);
  EXPECT_EQ(range.err, "hearth: temperature: must be within [0, 2]\n");
  const Outcome model = Hearth({"chat", "x", "--model", "gpt-4"});
  EXPECT_EQ(model.exit_code, 1);
  EXPECT_THAT(model.err, HasSubstr("model: "));
}

}  // namespace
}  // namespace hearth::testing
