// JSON Schema → grammar rules. Which spellings of which documents come out is described in
// constraint.h. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_SCHEMA_RULES_H_
#define HEARTH_ENGINE_CONSTRAIN_SCHEMA_RULES_H_

#include <cstddef>
#include <deque>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/constrain/grammar.h"
#include "engine/constrain/schema_shapes.h"

namespace hearth {

// Whether an object may have properties that its schema does not list, where it lists some and says
// nothing of others: JSON Schema has it so; a model that is asked for arguments makes them up.
enum class Unlisted : uint8_t { kTaken, kRefused };

// A rule whose texts are the documents of these types (TypeBits) that meet `schema`; it may turn
// out to be empty. `pointer` is where the schema lies, for messages.
absl::StatusOr<RuleId> AddSchemaRule(const SchemaJson& schema, std::string_view pointer,
                                     uint8_t types, Unlisted unlisted, GrammarBuilder& builder);

// The rules of one schema as they are compiled: one for each conjunction of subschemas that some
// value has to meet.
class SchemaRules {
 public:
  // Both must outlive the object.
  SchemaRules(SchemaShapes& shapes, Unlisted unlisted, GrammarBuilder& builder)
      : shapes_(shapes), unlisted_(unlisted), builder_(builder) {}

  // The rule of what meets all of them. Its states come with Compile.
  absl::StatusOr<RuleId> RuleFor(const Conjunction& all);

  // Adds what meets the shape to the rule.
  absl::Status AddShape(RuleId rule, const Shape& shape);

  // Compiles what RuleFor has promised, and what that asks for in turn.
  absl::Status Compile();

  SchemaShapes& shapes() { return shapes_; }
  Unlisted unlisted() const { return unlisted_; }
  GrammarBuilder& builder() { return builder_; }

 private:
  // Where the rule's fixed texts begin: one tree for all of them, however many shapes they are of.
  StateId WordsOf(RuleId rule);
  absl::Status AddTypes(RuleId rule, const Shape& shape);
  absl::Status AddValues(RuleId rule, const Shape& shape);
  absl::Status AddNumber(RuleId rule, const Shape& shape);
  absl::Status AddString(RuleId rule, const Shape& shape);
  // What the first `count` items must be, by index; the last rule is for all that follow, too.
  absl::StatusOr<std::vector<RuleId>> ItemRules(const Shape& shape, size_t count);
  absl::Status AddArray(RuleId rule, const Shape& shape);

  SchemaShapes& shapes_;
  const Unlisted unlisted_;
  GrammarBuilder& builder_;
  std::map<Conjunction, RuleId> rules_;
  std::map<RuleId, StateId> words_;
  absl::flat_hash_map<NumberRange, SharedText> numbers_;
  std::deque<std::pair<RuleId, Conjunction>> queue_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_SCHEMA_RULES_H_
