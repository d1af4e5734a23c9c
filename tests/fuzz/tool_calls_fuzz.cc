// Any bytes as what a model writes: however it is cut, the same text and calls come out, and
// nothing is lost that is no call.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/chat/tool_calls.h"
#include "engine/check.h"

namespace hearth {
namespace {

struct Result {
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;  // names and arguments
  bool broken = false;

  bool operator==(const Result&) const = default;
};

void Add(const ToolCallOutput& output, Result& result) {
  result.text += output.text;
  for (const ToolCallPiece& piece : output.calls) {
    const auto index = static_cast<size_t>(piece.index);
    HEARTH_CHECK(index <= result.calls.size());
    if (index == result.calls.size()) result.calls.push_back({piece.name, ""});
    HEARTH_CHECK(index + 1 == result.calls.size());
    result.calls.back().second += piece.arguments;
  }
}

// Text, or one of the markers.
struct Piece {
  enum Kind { kText, kOpen, kClose } kind;
  std::string text = {};
};

Result Parse(const std::vector<Piece>& pieces, size_t part) {
  ToolCallParser parser("functools");
  Result result;
  for (const Piece& piece : pieces) {
    if (piece.kind != Piece::kText) {
      Add(piece.kind == Piece::kOpen ? parser.Open() : parser.Close(), result);
    }
    for (std::string_view text = piece.text; !text.empty();
         text.remove_prefix(std::min(part, text.size()))) {
      Add(parser.Push(text.substr(0, part)), result);
    }
  }
  Add(parser.Finish(), result);
  result.broken = parser.broken();
  return result;
}

}  // namespace
}  // namespace hearth

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  // The words that matter are rare among random bytes.
  constexpr std::string_view kWords[] = {"functools[",       "",  "", "{\"name\":\"f\"",
                                         ",\"arguments\":{", "}]"};
  constexpr uint8_t kOpen = 1, kClose = 2;
  std::vector<Piece> pieces = {{Piece::kText}};
  size_t length = 0;
  for (size_t i = 0; i < std::min<size_t>(size, 4096); ++i) {
    if (data[i] == kOpen || data[i] == kClose) {
      pieces.push_back({data[i] == kOpen ? Piece::kOpen : Piece::kClose});
      pieces.push_back({Piece::kText});
      continue;
    }
    const char byte = static_cast<char>(data[i]);
    const std::string_view word =
        data[i] < std::size(kWords) ? kWords[data[i]] : std::string_view(&byte, 1);
    pieces.back().text += word;
    length += word.size();
  }
  const Result whole = Parse(pieces, std::string::npos);
  for (const size_t part : {1, 2, 7}) HEARTH_CHECK(Parse(pieces, part) == whole);
  if (whole.calls.empty() && !whole.broken) {
    HEARTH_CHECK(whole.text.size() <= length);
  }
  return 0;
}
