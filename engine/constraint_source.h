// What a generation may write, as a client says it. Engine::CompileConstraint makes a Constraint of
// it. Rank 0: plain values.
#ifndef HEARTH_ENGINE_CONSTRAINT_SOURCE_H_
#define HEARTH_ENGINE_CONSTRAINT_SOURCE_H_

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/request.h"

namespace hearth {

// A JSON document that meets a schema. Properties are written in the order of the schema's text.
struct JsonSchemaSource {
  std::string schema = R"({"type":"object"})";  // JSON; by default any object
  std::string pointer = {};                     // where it lies in its message, for errors

  bool operator==(const JsonSchemaSource&) const = default;
};

// A text that is, as a whole, a match.
struct RegexSource {
  std::string pattern;

  bool operator==(const RegexSource&) const = default;
};

// One of these texts.
struct ChoiceSource {
  std::vector<std::string> texts;

  bool operator==(const ChoiceSource&) const = default;
};

struct ToolSource {
  std::string name;
  // JSON Schema, of which only objects count. Where it lists properties and says nothing of others,
  // there are no others.
  std::string parameters = R"({"properties":{}})";
  std::string pointer = {};  // where they lie, for errors

  bool operator==(const ToolSource&) const = default;
};

// How a model family writes calls: `opening` as plain text or the marker `open`, then a JSON list
// [{"name": ..., "arguments": {...}}, ...], then the marker `close` if one opened it.
struct ToolCallSyntax {
  std::string opening = {};  // "functools"; empty: there is no such form
  std::optional<TokenId> open = {}, close = {};

  bool operator==(const ToolCallSyntax&) const = default;
};

// Calls of these tools with arguments that meet their schemas.
struct ToolCallsSource {
  std::vector<ToolSource> tools;
  ToolCallSyntax syntax;
  bool required = false;  // calls and nothing else; otherwise any text, which calls may follow
  bool parallel = true;   // more than one call

  bool operator==(const ToolCallsSource&) const = default;
};

using ConstraintSource = std::variant<JsonSchemaSource, RegexSource, ChoiceSource, ToolCallsSource>;

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAINT_SOURCE_H_
