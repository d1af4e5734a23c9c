#include "engine/constrain/tool_rule.h"

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/constrain/schema_shapes.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// Texts in which `word` (ASCII) does not occur; or, with `at_end`, those in which it occurs at the
// end and nowhere before. After Knuth, Morris and Pratt: a state is how much of the word the text
// ends with.
absl::StatusOr<SharedText> TextsAround(std::string_view word, bool at_end, CompileBudget& budget) {
  std::set<char> letters(word.begin(), word.end());
  std::vector<CharSet> sets;
  for (const char letter : letters) {
    sets.push_back({{static_cast<char32_t>(letter), static_cast<char32_t>(letter)}});
  }
  TextTable table;
  HEARTH_ASSIGN_OR_RETURN(table.alphabet, Alphabet::Of(sets, budget));
  const uint32_t size = static_cast<uint32_t>(word.size());
  for (uint32_t read = 0; read < size; ++read) {
    const size_t row = table.next.size();
    table.next.resize(row + table.alphabet.size, 0);
    table.accepts.push_back(!at_end);
    for (const char letter : letters) {
      // The longest beginning of the word that the text ends with now.
      const std::string text =
          absl::StrCat(std::string(word.substr(0, read)), std::string(1, letter));
      uint32_t longest = read + 1;
      while (text.compare(text.size() - longest, longest, word.data(), longest) != 0) --longest;
      uint32_t next = longest;
      if (next == size && !at_end) next = TextDfa::kDead;
      const auto code = static_cast<char32_t>(letter);
      table.next[row + table.alphabet.symbols[table.alphabet.RangeOf(code)]] = next;
    }
  }
  if (at_end) {
    table.next.resize(table.next.size() + table.alphabet.size, TextDfa::kDead);
    table.accepts.push_back(true);
  }
  return std::make_shared<const TextDfa>(table);
}

// A rule with a single terminal.
RuleId AddTextRule(SharedText text, GrammarBuilder& builder) {
  const RuleId rule = builder.AddRule();
  builder.AddStart(rule, builder.AddTerminal(std::move(text), Spelling::kUtf8));
  return rule;
}

// The list of calls, from behind its opening bracket.
RuleId AddListRule(const ToolCallsSource& calls, const std::vector<RuleId>& arguments,
                   GrammarBuilder& builder) {
  const RuleId list = builder.AddRule();
  const StateId after = builder.AddState(/*gap=*/true);
  builder.AddEdge(after, ']', builder.AddAccept());
  const StateId close = builder.AddState(/*gap=*/true);
  builder.AddEdge(close, '}', after);
  StateId names = builder.AddState();  // behind the opening quote
  for (size_t i = 0; i < calls.tools.size(); ++i) {
    const StateId value = builder.AddState(/*gap=*/true);
    builder.AddCall(value, arguments[i], close);
    const StateId key = builder.AddState(/*gap=*/true);
    builder.AddEdge(key, '"', builder.Chain("arguments\":", value));
    const std::string name = JsonText(calls.tools[i].name);
    names = builder.WithChain(names, name.substr(1) + ",", key);
  }
  const StateId name = builder.AddState(/*gap=*/true);
  builder.AddEdge(name, '"', names);
  const StateId open = builder.AddState(/*gap=*/true);
  builder.AddEdge(open, '"', builder.Chain("name\":", name));
  const StateId call = builder.AddState(/*gap=*/true);
  builder.AddEdge(call, '{', open);
  if (calls.parallel) builder.AddEdge(after, ',', call);
  builder.AddStart(list, call);
  return list;
}

absl::Status CheckCalls(const ToolCallsSource& calls) {
  std::set<std::string> names;
  for (const ToolSource& tool : calls.tools) {
    if (!names.insert(tool.name).second) {
      return absl::InvalidArgumentError("two tools have the same name");
    }
  }
  if (names.empty()) return absl::InvalidArgumentError("there are no tools");
  if (calls.syntax.opening.empty() && !calls.syntax.open) {
    return absl::InvalidArgumentError("this model has no form of tool calls");
  }
  return absl::OkStatus();
}

// A state that reads the list and goes on at `next`.
StateId BeforeList(RuleId list, StateId next, GrammarBuilder& builder) {
  const StateId call = builder.AddState();
  builder.AddCall(call, list, next);
  return call;
}

// Lets any text come first at `start`: one automaton takes what stays text, another what opens a
// call, if there is an `opening`. Returns the state behind the text.
absl::StatusOr<StateId> AddText(const std::string& opening, RuleId list, StateId start, StateId end,
                                GrammarBuilder& builder) {
  SharedText text = std::make_shared<const TextDfa>(TextDfa::AnyText(0, TextDfa::kUnbounded));
  if (!opening.empty()) {
    HEARTH_ASSIGN_OR_RETURN(text, TextsAround(opening, /*at_end=*/false, builder.budget()));
    HEARTH_ASSIGN_OR_RETURN(const SharedText opened,
                            TextsAround(opening, /*at_end=*/true, builder.budget()));
    builder.AddCall(start, AddTextRule(opened, builder), BeforeList(list, end, builder));
  }
  const StateId behind = builder.AddAccept();
  builder.AddCall(start, AddTextRule(text, builder), behind);
  return behind;
}

}  // namespace

absl::Status AddToolRule(const ToolCallsSource& calls, const std::vector<RuleId>& arguments,
                         RuleId root, GrammarBuilder& builder) {
  HEARTH_RETURN_IF_ERROR(CheckCalls(calls));
  const ToolCallSyntax& syntax = calls.syntax;
  const std::string opening = syntax.opening.empty() ? "" : syntax.opening + "[";
  const RuleId list = AddListRule(calls, arguments, builder);
  const StateId end = builder.AddAccept();
  const StateId start = builder.AddState();
  builder.AddStart(root, start);
  StateId marked = start;  // where the marker may come
  if (!calls.required) {
    HEARTH_ASSIGN_OR_RETURN(marked, AddText(opening, list, start, end, builder));
  } else if (!opening.empty()) {
    builder.CopyInto(start, builder.Chain(opening, BeforeList(list, end, builder)));
  }
  if (!syntax.open) return absl::OkStatus();
  StateId closed = end;
  if (syntax.close) {
    closed = builder.AddState();
    builder.AddMarker(closed, *syntax.close, end);
  }
  builder.AddMarker(marked, *syntax.open, builder.Chain("[", BeforeList(list, closed, builder)));
  return absl::OkStatus();
}

}  // namespace hearth
