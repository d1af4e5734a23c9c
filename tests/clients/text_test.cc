// What the client does to text, keys and files before anybody sees them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "clients/cli/connection.h"
#include "clients/cli/input.h"
#include "clients/cli/terminal.h"
#include "clients/cli/tools.h"

namespace hearth::cli {
namespace {

TEST(Printable, KeepsTextNewlinesAndTabs) {
  EXPECT_EQ(Printable("a\tb\nc é 漢 🙂"), "a\tb\nc é 漢 🙂");
}

TEST(Printable, ReplacesWhatDrivesATerminal) {
  EXPECT_EQ(Printable("\x1b[31mred"), "\uFFFD[31mred");
  EXPECT_EQ(Printable("a\rb\x07"
                      "c\x7f"),
            "a\uFFFDb\uFFFDc\uFFFD");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "31m"),
            "\uFFFD31m");  // the 8-bit CSI
  EXPECT_EQ(Printable(std::string_view("\0", 1)), "\uFFFD");
  EXPECT_EQ(Printable("\xC2\xA0"), "\xC2\xA0");  // U+00A0 is a space
}

class ReadKeyTest : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("HEARTH_API_KEY"); }
  void TearDown() override { unsetenv("HEARTH_API_KEY"); }
  std::string File(const std::string& content) {
    const std::string path = ::testing::TempDir() + "key-" + std::to_string(getpid());
    std::ofstream(path) << content;
    return path;
  }
};

TEST_F(ReadKeyTest, TakesTheFirstLineThatHoldsOne) {
  EXPECT_EQ(ReadKey(File("# keys\n\nsecret\nother\n")).value(), "secret");
  EXPECT_EQ(ReadKey(File("secret\r\n")).value(), "secret");
  EXPECT_EQ(ReadKey(File("secret")).value(), "secret");
}

TEST_F(ReadKeyTest, RefusesAFileWithoutKey) {
  EXPECT_FALSE(ReadKey(File("# nothing\n")).ok());
  EXPECT_FALSE(ReadKey(File("")).ok());
}

TEST_F(ReadKeyTest, FallsBackToTheEnvironmentAndToNone) {
  EXPECT_EQ(ReadKey("").value(), "");
  setenv("HEARTH_API_KEY", "from-env", 1);
  EXPECT_EQ(ReadKey("").value(), "from-env");
  EXPECT_EQ(ReadKey(File("from-file\n")).value(), "from-file");
}

std::optional<std::string> Message(const std::string& typed, bool quoted = false) {
  std::istringstream in(typed);
  const std::optional<Typed> read = ReadTyped(in, "");
  if (!read) return std::nullopt;
  EXPECT_EQ(read->quoted, quoted);
  return read->text;
}

TEST(ReadTyped, IsALineUnlessItGoesOn) {
  EXPECT_EQ(Message("one\ntwo\n"), "one");
  EXPECT_EQ(Message("one"), "one");
  EXPECT_EQ(Message("\n"), "");
  EXPECT_EQ(Message(""), std::nullopt);
  EXPECT_EQ(Message("one\\\ntwo\\\n\nfour\n"), "one\ntwo\n");
  EXPECT_EQ(Message("one\\\n"), std::nullopt);  // the end of input amid a message leaves
}

TEST(ReadTyped, MayStandBetweenQuotes) {
  EXPECT_EQ(Message("\"\"\"\none\n\ntwo\n\"\"\"\n", true), "one\n\ntwo");
  EXPECT_EQ(Message("\"\"\"one\ntwo\"\"\"\n", true), "one\ntwo");
  EXPECT_EQ(Message("\"\"\"one\"\"\"\n", true), "one");
  EXPECT_EQ(Message("\"\"\"\n  indented \\\n\"\"\"\n", true), "  indented \\");
  EXPECT_EQ(Message("\"\"\"\none\n", true), std::nullopt);
}

TEST(ReadFile, RefusesWhatItCannotHold) {
  EXPECT_FALSE(ReadFile("/nonexistent").ok());
  EXPECT_FALSE(ReadFile("/").ok());
  EXPECT_EQ(ReadFile("/dev/zero").status().message(), "/dev/zero: longer than 16 MiB");
  EXPECT_EQ(ReadFile("/dev/null").value(), "");
}

TEST(ParseTools, NamesWhatIsWrong) {
  const auto message = [](const std::string& json) {
    return std::string(ParseTools(json).status().message());
  };
  EXPECT_EQ(message("["), "tools: expected a JSON array");
  EXPECT_EQ(message("{}"), "tools: expected a JSON array");
  EXPECT_EQ(message("[1]"), "tools[0]: expected an object");
  EXPECT_EQ(message("[{}]"), "tools[0].name: missing");
  EXPECT_EQ(message(R"([{"name":"a"},{"name":1}])").substr(0, 9), "tools[1]:");
  EXPECT_EQ(message(R"([{"name":"a","mood":1}])").substr(0, 9), "tools[0]:");
  EXPECT_EQ(message(std::string(100'000, '[')), "tools: nested deeper than 64");
  EXPECT_TRUE(ParseTools("[]").value().empty());
}

}  // namespace
}  // namespace hearth::cli
