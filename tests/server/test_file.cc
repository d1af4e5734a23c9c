#include "tests/server/test_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

struct Litter {
  ~Litter() {
    for (const std::string& path : paths) unlink(path.c_str());
  }
  std::set<std::string> paths;
};

}  // namespace

std::string WriteTestFile(const std::string& name, const std::string& content, mode_t mode) {
  static Litter litter;
  const std::string path = absl::StrCat(testing::TempDir(), "hearth-", getpid(), "-", name);
  litter.paths.insert(path);
  unlink(path.c_str());
  std::ofstream(path, std::ios::binary) << content;
  chmod(path.c_str(), mode);
  return path;
}

}  // namespace hearth::server
