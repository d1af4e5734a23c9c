// Finds the tool calls in what a model writes, as it writes it: a JSON list of calls
//   [{"name": ..., "arguments": {...}}, ...]
// (or "parameters") behind a word of plain text, or a list or a single call between two markers;
// once or several times, with text before, between and after. Markers are tokens and no text: what
// merely spells one is text, to the grammar of calls (engine/constrain) and so also here.
#ifndef HEARTH_ENGINE_CHAT_TOOL_CALLS_H_
#define HEARTH_ENGINE_CHAT_TOOL_CALLS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// Calls grow: the first piece of a call has its name, all of them have what came of its arguments.
struct ToolCallPiece {
  int32_t index;  // of the call, from 0
  std::string name;
  std::string arguments;  // as the model wrote them

  bool operator==(const ToolCallPiece& other) const {
    return index == other.index && name == other.name && arguments == other.arguments;
  }
};

struct ToolCallOutput {
  std::string text;  // what is no call
  std::vector<ToolCallPiece> calls;

  // What came after this.
  void Append(ToolCallOutput next);
};

// One per generation; not thread-safe. What comes out depends on the whole input only, not on how
// it was cut: joined, texts and pieces are always the same. Memory is bounded but for a call's
// name, and for arguments that come before it.
class ToolCallParser {
 public:
  // `opening` and a '[' open calls in plain text; empty: nothing there does.
  explicit ToolCallParser(std::string_view opening);

  ToolCallOutput Push(std::string_view text);
  // The markers.
  ToolCallOutput Open();
  ToolCallOutput Close();

  // The end of the generation. What was held back comes out as text, unless it is of calls: they
  // were cut, and what has not come out of them is of no use.
  ToolCallOutput Finish();

  // Calls so far; an unfinished one counts once its name is known.
  int32_t calls() const { return calls_; }
  // The generation ended, or went wrong, within a call that was begun.
  bool broken() const { return broken_; }

 private:
  enum class State : uint8_t {
    kText,
    kList,    // behind a marker: a list or a call comes next
    kCall,    // in the list: a call comes next
    kMember,  // in the call: a name or the end
    kKey,     // within the name of a member
    kColon,
    kValue,     // a value comes next
    kInString,  // within a value that is a string
    kInNested,  // within one that is an object or a list
    kInScalar,  // within any other
    kAfterValue,
    kAfterCall,
    kClosing,  // behind the list: the closing marker may come, and white space is none of the text
  };

  void Read(char c, ToolCallOutput& out);
  void ReadText(char c, ToolCallOutput& out);
  void ReadClosing(char c, ToolCallOutput& out);
  void StartValue(char c, ToolCallOutput& out);
  void ReadNested(char c, ToolCallOutput& out);
  void AddToValue(char c, ToolCallOutput& out);
  void EndValue(ToolCallOutput& out);
  void EndCall();
  void Break(ToolCallOutput& out);
  bool EndsString(char c);
  ToolCallPiece& Piece(ToolCallOutput& out);

  const std::string opening_;  // with the '['
  State state_ = State::kText;
  std::string held_;     // read, and not yet known for what it is
  bool single_ = false;  // a call without a list
  bool broken_ = false;
  int32_t calls_ = 0;

  // Of the call that is being read.
  std::string key_;
  std::string value_;  // of "name", as JSON
  std::string early_;  // arguments that came before the name
  bool named_ = false;
  bool has_arguments_ = false;  // all of them; what claims to be them once more is ignored
  bool escaped_ = false;        // the last character of a string was a backslash
  bool in_string_ = false;      // within a nested value
  int64_t depth_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CHAT_TOOL_CALLS_H_
