#include "clients/cli/input.h"

#include <absl/strings/str_cat.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>
#include <utility>

#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr size_t kMostFileBytes = 16 << 20;
constexpr std::string_view kQuote = "\"\"\"";

// What comes before the closing quote, which ends a line.
std::optional<Typed> ReadQuoted(std::istream& in, std::string text, const std::string& more) {
  while (!text.ends_with(kQuote)) {
    std::string line;
    Print(more);
    if (!std::getline(in, line)) return std::nullopt;
    text += (text.empty() ? "" : "\n") + line;
  }
  text.resize(text.size() - kQuote.size());
  if (text.ends_with('\n')) text.pop_back();
  return Typed{std::move(text), true};
}

}  // namespace

std::string ReadInput() {
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

std::string TextOrInput(const std::string& text) { return text == "-" ? ReadInput() : text; }

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kMostFileBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad() || !file.eof()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, file.is_open() && !file.bad() ? ": longer than 16 MiB" : ": cannot be read"));
  }
  content.resize(static_cast<size_t>(file.gcount()));
  return content;
}

CLI::Validator FileContents() {
  return CLI::Validator(
      [](std::string& value) -> std::string {
        absl::StatusOr<std::string> content = ReadFile(value);
        if (!content.ok()) return std::string(content.status().message());
        value = *std::move(content);
        return "";
      },
      "");
}

std::optional<Typed> ReadTyped(std::istream& in, const std::string& more) {
  std::string text;
  if (!std::getline(in, text)) return std::nullopt;
  if (text.starts_with(kQuote)) return ReadQuoted(in, text.substr(kQuote.size()), more);
  while (text.ends_with('\\')) {
    text.back() = '\n';
    std::string line;
    Print(more);
    if (!std::getline(in, line)) return std::nullopt;
    text += line;
  }
  return Typed{std::move(text)};
}

}  // namespace hearth::cli
