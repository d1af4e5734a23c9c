// Key files, rows C8, C20, B7, B15 and B16 of the catalogue of bad inputs.
#include "server/api_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/small_file.h"
#include "tests/server/test_file.h"

namespace hearth::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ApiKeys, C8_KeyFileMustBePrivate) {
  for (const mode_t mode : {0644, 0604, 0620, 0602, 0601}) {
    const std::string path = WriteTestFile("keys", "secret-key\n", mode);
    const auto keys = ApiKeys::Read(path);
    EXPECT_THAT(std::string(keys.status().message()),
                AllOf(HasSubstr("permissions 0"), Not(HasSubstr("secret-key"))));
  }
  for (const mode_t mode : {0600, 0400, 0640}) {
    EXPECT_TRUE(ApiKeys::Read(WriteTestFile("keys", "secret-key\n", mode)).ok());
  }
}

TEST(ApiKeys, C8_KeyFileContent) {
  const auto message = [](const std::string& content) {
    return std::string(ApiKeys::Read(WriteTestFile("keys", content)).status().message());
  };
  EXPECT_THAT(message(""), HasSubstr("holds no key"));
  EXPECT_THAT(message("# only a comment\n\n  \n"), HasSubstr("holds no key"));
  EXPECT_THAT(message("good\nbad key\n"), AllOf(HasSubstr(":2: "), Not(HasSubstr("bad"))));
  EXPECT_THAT(message(absl::StrCat("k\n", std::string(513, 'x'))), HasSubstr(":2: "));
  EXPECT_THAT(message("caf\xc3\xa9\n"), HasSubstr("printable ASCII"));
  std::string many;
  for (int i = 0; i < 10000; ++i) absl::StrAppend(&many, "key", i, "\n");
  EXPECT_THAT(message(many), HasSubstr("more than 1024 keys"));
  EXPECT_THAT(message(std::string(2 << 20, 'k')), HasSubstr("larger than"));
}

TEST(ApiKeys, C8_CarriageReturnsAndCommentsAreNoPartOfAKey) {
  const auto keys = ApiKeys::Read(WriteTestFile("keys", "# ours\r\nalpha\r\n\r\nbeta"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->Authenticate("alpha").ok());
  EXPECT_TRUE(keys->Authenticate("beta").ok());
  EXPECT_FALSE(keys->Authenticate("alpha\r").ok());
  EXPECT_FALSE(keys->Authenticate("# ours").ok());
}

TEST(ApiKeys, KeysNameTheirClientsWithoutTellingTheKey) {
  const auto keys = ApiKeys::Read(WriteTestFile("keys", "alpha\nbeta\n"));
  ASSERT_TRUE(keys.ok());
  const auto alpha = keys->Authenticate("alpha");
  const auto beta = keys->Authenticate("beta");
  ASSERT_TRUE(alpha.ok() && beta.ok());
  EXPECT_NE(*alpha, *beta);
  EXPECT_THAT(*alpha, Not(HasSubstr("alpha")));
  for (const char* wrong : {"", "alph", "alphaa", "Alpha", "beta\n", "alpha beta"}) {
    EXPECT_TRUE(absl::IsUnauthenticated(keys->Authenticate(wrong).status())) << wrong;
  }
  EXPECT_TRUE(ApiKeys().empty());
  EXPECT_FALSE(ApiKeys().Authenticate("").ok());
}

TEST(ApiKeys, B16_KeyFailuresRunOutAndComeBack) {
  KeyFailures failures;
  auto now = std::chrono::steady_clock::time_point(std::chrono::hours(1));
  int counted = 0;
  while (failures.Count(now)) ASSERT_LT(++counted, 1000);
  EXPECT_EQ(counted, 20);
  now += std::chrono::milliseconds(350);
  counted = 0;
  while (failures.Count(now)) ASSERT_LT(++counted, 1000);
  EXPECT_EQ(counted, 3);
}

TEST(ApiKeys, B16_FloodOfWrongKeysIsLimited) {
  const auto keys = ApiKeys::Read(WriteTestFile("keys", "alpha\n"));
  ASSERT_TRUE(keys.ok());
  absl::Status status;
  for (int i = 0; i < 1000 && !absl::IsResourceExhausted(status); ++i) {
    status = keys->Authenticate("guess").status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(keys->Authenticate("alpha").ok());
}

// Welch's t of two kinds of calls made in turn, the slowest twentieth left out: those were
// interrupted.
template <typename Call>
double WelchT(Call call) {
  constexpr int kCalls = 100'000;
  std::vector<double> all;
  for (int i = 0; i < kCalls; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    call(i % 2);
    const auto end = std::chrono::steady_clock::now();
    all.push_back(std::chrono::duration<double, std::nano>(end - begin).count());
  }
  std::vector<double> sorted = all;
  std::sort(sorted.begin(), sorted.end());
  const double slowest = sorted[sorted.size() * 19 / 20];
  std::array<double, 2> count{}, sum{}, squares{};
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] > slowest) continue;
    count[i % 2] += 1;
    sum[i % 2] += all[i];
    squares[i % 2] += all[i] * all[i];
  }
  double variance = 0;  // of the difference of the means
  for (int i = 0; i < 2; ++i) {
    const double mean = sum[i] / count[i];
    variance += (squares[i] / count[i] - mean * mean) / (count[i] - 1);
  }
  return (sum[0] / count[0] - sum[1] / count[1]) / std::sqrt(variance);
}

TEST(ApiKeys, B7_TimeDoesNotTellWhereAKeyIsWrong) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "time under a sanitizer is the sanitizer's";
#endif
  const std::string right(64, 'k');
  const auto keys = ApiKeys::Read(WriteTestFile("keys", right + "\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  std::array<std::string, 2> wrong = {right, right};
  wrong[0].front() = 'x';
  wrong[1].back() = 'x';
  for (int i = 0; i < 100; ++i) keys->Authenticate(wrong[0]).IgnoreError();  // all fail alike now
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3 && least >= 4.5; ++i) {
    least = std::min(
        least,
        std::abs(WelchT([&](int which) { keys->Authenticate(wrong[which]).IgnoreError(); })));
  }
  EXPECT_LT(least, 4.5);
}

TEST(ApiKeys, C20_CredentialMissing) {
  EXPECT_TRUE(absl::IsNotFound(ApiKeys::Read("/nonexistent/keys").status()));
  EXPECT_FALSE(ApiKeys::Read("/dev/zero").ok());
  EXPECT_FALSE(ApiKeys::Read("/").ok());
}

TEST(ApiKeys, NoneWithoutAFile) {
  auto keys = ApiKeys::Read("");
  ASSERT_TRUE(keys.ok());
  EXPECT_TRUE(keys->empty());
  EXPECT_TRUE(keys->Reload().ok());
}

TEST(ApiKeys, B15_ARevokedKeyOpensNothingAfterReload) {
  const std::string path = WriteTestFile("keys", "alpha\nbeta\n");
  auto keys = ApiKeys::Read(path);
  ASSERT_TRUE(keys.ok()) << keys.status();
  const std::string name = *keys->Authenticate("beta");
  WriteTestFile("keys", "beta\ngamma\n");
  EXPECT_TRUE(keys->Authenticate("alpha").ok());  // not read yet
  EXPECT_TRUE(keys->Reload().ok());
  EXPECT_TRUE(absl::IsUnauthenticated(keys->Authenticate("alpha").status()));
  EXPECT_TRUE(keys->Authenticate("gamma").ok());
  EXPECT_EQ(*keys->Authenticate("beta"), name);
}

TEST(ApiKeys, F4_BadFilesChangeNothing) {
  const std::string path = WriteTestFile("keys", "alpha\n");
  auto keys = ApiKeys::Read(path);
  ASSERT_TRUE(keys.ok()) << keys.status();
  const auto expect_kept = [&](const char* why) {
    EXPECT_FALSE(keys->Reload().ok()) << why;
    EXPECT_TRUE(keys->Authenticate("alpha").ok()) << why;
    EXPECT_FALSE(keys->empty());
  };
  WriteTestFile("keys", "beta\ngamma delta\n");
  expect_kept("a key with a space");
  WriteTestFile("keys", "# none\n");
  expect_kept("no key");
  WriteTestFile("keys", "beta\n", 0644);
  expect_kept("open to others");
  unlink(path.c_str());
  expect_kept("no file");
}

TEST(ApiKeys, AdminsAreToldFromTheRest) {
  const std::string path = WriteTestFile("keys", "alpha\n");
  const std::string admin_path = WriteTestFile("admin-keys", "root\n");
  auto keys = ApiKeys::Read(path, admin_path);
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->has_admins());
  EXPECT_TRUE(keys->Authenticate("alpha").ok());
  EXPECT_TRUE(keys->Authenticate("root").ok());
  EXPECT_TRUE(keys->CheckAdmin("root").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(keys->CheckAdmin("alpha")));
  EXPECT_TRUE(absl::IsPermissionDenied(keys->CheckAdmin("")));
  WriteTestFile("admin-keys", "alpha\n");
  ASSERT_TRUE(keys->Reload().ok());
  EXPECT_TRUE(keys->CheckAdmin("alpha").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(keys->CheckAdmin("root")));
  unlink(admin_path.c_str());
  EXPECT_FALSE(keys->Reload().ok());
  EXPECT_TRUE(keys->CheckAdmin("alpha").ok());
}

TEST(ApiKeys, AdminsAloneLetEveryoneIn) {
  const auto keys = ApiKeys::Read("", WriteTestFile("admin-keys", "root\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->empty());
  EXPECT_TRUE(keys->CheckAdmin("root").ok());
  absl::Status status;
  for (int i = 0; i < 1000 && !absl::IsResourceExhausted(status); ++i) {
    status = keys->CheckAdmin("guess");
    EXPECT_FALSE(status.ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << "guesses are limited";
}

class Credentials : public testing::Test {
 protected:
  void TearDown() override { unsetenv("CREDENTIALS_DIRECTORY"); }
};

TEST_F(Credentials, AreFilesOfSystemdsDirectory) {
  const std::string path = WriteTestFile("keys", "alpha\n", 0400);
  const size_t slash = path.rfind('/');
  setenv("CREDENTIALS_DIRECTORY", path.substr(0, slash).c_str(), 1);
  const auto keys = ApiKeys::Read(absl::StrCat("credential:", path.substr(slash + 1)));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->Authenticate("alpha").ok());
}

TEST_F(Credentials, C20_SayWhatIsMissing) {
  const auto message = [](const char* path) {
    return std::string(ReadSmallFile(path).status().message());
  };
  EXPECT_THAT(message("credential:keys"), HasSubstr("LoadCredential=keys:FILE"));
  setenv("CREDENTIALS_DIRECTORY", testing::TempDir().c_str(), 1);
  EXPECT_THAT(message("credential:no-such-credential"), HasSubstr("credential:no-such-credential"));
  for (const char* path : {"credential:", "credential:../keys", "credential:/etc/passwd"}) {
    EXPECT_THAT(message(path), HasSubstr("expected credential:NAME")) << path;
  }
}

}  // namespace
}  // namespace hearth::server
