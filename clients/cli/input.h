// What commands read: stdin, and files that options name.
#ifndef HEARTH_CLIENTS_CLI_INPUT_H_
#define HEARTH_CLIENTS_CLI_INPUT_H_

#include <absl/status/statusor.h>

#include <CLI/CLI.hpp>
#include <iosfwd>
#include <optional>
#include <string>

namespace hearth::cli {

// All of stdin.
std::string ReadInput();

// `text`, or all of stdin where it is "-".
std::string TextOrInput(const std::string& text);

// A file's content, of at most 16 MiB; no daemon takes requests nearly as long.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// For options that name a file: their value becomes the content.
CLI::Validator FileContents();

struct Typed {
  std::string text;
  bool quoted = false;
};

// What a person types next: a line; lines joined where each but the last ends in a backslash; or
// what stands between two lines of """. nullopt at the end of input. Before each line but the
// first it prints `more`.
std::optional<Typed> ReadTyped(std::istream& in, const std::string& more);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_INPUT_H_
