// hearthd inspect: what a model file holds, as tables or JSON.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "engine/engine.h"
#include "server/commands.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Row = std::vector<std::string>;

// Columns of the terminal; 0 when the output goes elsewhere and is not cut.
size_t TerminalWidth() {
  winsize size = {};
  if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

// What a file says must not reach the terminal as control sequences.
std::string Printable(const std::string& text) {
  return absl::StrReplaceAll(absl::Utf8SafeCHexEscape(text),
                             {{"\\\"", "\""}, {"\\'", "'"}, {"\\\\", "\\"}});
}

bool StartsCharacter(char byte) { return (byte & 0xC0) != 0x80; }  // in UTF-8

size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), StartsCharacter);
}

// The first `width` characters.
std::string Cut(const std::string& text, size_t width) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (StartsCharacter(text[end]) && width-- == 0) break;
  }
  return text.substr(0, end);
}

void PrintTable(const std::vector<Row>& rows) {
  const size_t columns = rows.front().size();
  std::vector<size_t> widths(columns, 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  const size_t limit = TerminalWidth();
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < columns; ++i) {
      absl::StrAppend(&line, i > 0 ? "  " : "", row[i]);
      if (i + 1 < columns) line.append(widths[i] - Width(row[i]), ' ');
    }
    std::cout << (limit > 0 ? Cut(line, limit) : line) << "\n";
  }
}

void PrintTables(const ModelListing& listing) {
  std::cout << listing.format << ", " << listing.metadata.size() << " keys, "
            << listing.tensors.size() << " tensors\n\n";
  std::vector<Row> rows = {{"KEY", "TYPE", "VALUE"}};
  for (const auto& entry : listing.metadata) {
    rows.push_back({Printable(entry.key), entry.type, Printable(entry.value)});
  }
  PrintTable(rows);
  std::cout << "\n";
  rows = {{"TENSOR", "TYPE", "SHAPE", "OFFSET", "BYTES"}};
  for (const auto& tensor : listing.tensors) {
    rows.push_back({Printable(tensor.name), tensor.type, absl::StrJoin(tensor.dims, "x"),
                    absl::StrCat(tensor.offset), absl::StrCat(tensor.bytes)});
  }
  PrintTable(rows);
}

void PrintJson(const ModelListing& listing) {
  using Json = nlohmann::ordered_json;
  Json out = {{"format", listing.format}, {"metadata", Json::array()}, {"tensors", Json::array()}};
  for (const auto& entry : listing.metadata) {
    out["metadata"].push_back({{"key", entry.key}, {"type", entry.type}, {"value", entry.value}});
  }
  for (const auto& tensor : listing.tensors) {
    out["tensors"].push_back({{"name", tensor.name},
                              {"type", tensor.type},
                              {"dims", tensor.dims},
                              {"offset", tensor.offset},
                              {"bytes", tensor.bytes}});
  }
  std::cout << out.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace

int Inspect(const InspectOptions& options) {
  const auto listing = InspectModel(options.path);
  if (!listing.ok()) {
    std::cerr << "hearthd: " << listing.status().message() << "\n";
    return LoadExitCode(listing.status());
  }
  if (options.json) {
    PrintJson(*listing);
  } else {
    PrintTables(*listing);
  }
  return std::cout.flush() ? kExitOk : kExitOs;
}

}  // namespace hearth::server
