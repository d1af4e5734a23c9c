// What the client does to text and keys before anybody sees them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"

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
  EXPECT_EQ(ReadKey(File("# keys\n\nsecret\nother\n")), "secret");
  EXPECT_EQ(ReadKey(File("secret\r\n")), "secret");
  EXPECT_EQ(ReadKey(File("secret")), "secret");
}

TEST_F(ReadKeyTest, RefusesAFileWithoutKeyOrWithControlCharacters) {
  EXPECT_EQ(ReadKey(File("# nothing\n")), std::nullopt);
  EXPECT_EQ(ReadKey(File("")), std::nullopt);
  EXPECT_EQ(ReadKey(File("a\tb\n")), std::nullopt);
}

TEST_F(ReadKeyTest, FallsBackToTheEnvironmentAndToNone) {
  EXPECT_EQ(ReadKey(""), "");
  setenv("HEARTH_API_KEY", "from-env", 1);
  EXPECT_EQ(ReadKey(""), "from-env");
  EXPECT_EQ(ReadKey(File("from-file\n")), "from-file");
}

}  // namespace
}  // namespace hearth::cli
