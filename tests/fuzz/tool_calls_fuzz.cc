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

Result Parse(std::string_view text, size_t part) {
  ToolCallParser parser;
  Result result;
  for (; !text.empty(); text.remove_prefix(std::min(part, text.size()))) {
    Add(parser.Push(text.substr(0, part)), result);
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
  constexpr std::string_view kWords[] = {"functools[",      "<|tool_call|>",    "<|/tool_call|>",
                                         "{\"name\":\"f\"", ",\"arguments\":{", "}]"};
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(size, 4096); ++i) {
    if (data[i] < std::size(kWords)) {
      text += kWords[data[i]];
    } else {
      text.push_back(static_cast<char>(data[i]));
    }
  }
  const Result whole = Parse(text, text.size());
  for (const size_t part : {1, 2, 7}) HEARTH_CHECK(Parse(text, part) == whole);
  if (whole.calls.empty() && !whole.broken) {
    HEARTH_CHECK(whole.text.size() <= text.size());
  }
  return 0;
}
