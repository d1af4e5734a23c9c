#include "tests/constrain/documents.h"

#include <utility>

#include "engine/constrain/automaton.h"

namespace hearth {
namespace {

// As Python's json.dumps writes it: a space after each ':' and ','.
void WriteSpaced(const nlohmann::ordered_json& value, std::string& out) {
  if (!value.is_structured() || value.empty()) {
    out += value.dump();
    return;
  }
  const bool object = value.is_object();
  std::string separator = object ? "{" : "[";
  for (auto it = value.begin(); it != value.end(); ++it) {
    out += separator;
    if (object) out += nlohmann::ordered_json(it.key()).dump() + ": ";
    WriteSpaced(*it, out);
    separator = ", ";
  }
  out += object ? "}" : "]";
}

}  // namespace

Reading Read(const Constraint& constraint, std::string_view text) {
  Automaton automaton(constraint.grammar());
  Configuration from, to;
  automaton.Start(to);
  for (size_t i = 0; i < text.size(); ++i) {
    std::swap(from, to);
    automaton.Step(from, static_cast<uint8_t>(text[i]), to);
    if (to.dead()) return {i, false};
  }
  return {text.size(), to.complete};
}

std::vector<std::string> Layouts(const nlohmann::ordered_json& document) {
  std::string spaced;
  WriteSpaced(document, spaced);
  return {document.dump(), spaced, document.dump(2), document.dump(1, '\t')};
}

}  // namespace hearth
