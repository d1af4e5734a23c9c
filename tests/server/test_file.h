// Files that a test gives to what it tests.
#ifndef HEARTH_TESTS_SERVER_TEST_FILE_H_
#define HEARTH_TESTS_SERVER_TEST_FILE_H_

#include <sys/types.h>

#include <string>

namespace hearth::server {

// Writes a file of this process's own, in place of one of the same name, and returns its path. It
// is gone with the process.
std::string WriteTestFile(const std::string& name, const std::string& content, mode_t mode = 0600);

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_TEST_FILE_H_
