// Objects: the properties that the schema names, in its order, then any others. Internal to this
// folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_OBJECT_RULE_H_
#define HEARTH_ENGINE_CONSTRAIN_OBJECT_RULE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/constrain/schema_rules.h"

namespace hearth {

class ObjectRule {
 public:
  ObjectRule(SchemaRules& rules, const Shape& shape)
      : rules_(rules), shapes_(rules.shapes()), builder_(rules.builder()), shape_(shape) {}

  // The state before the '{' of objects that meet the shape.
  absl::StatusOr<StateId> Add();

 private:
  struct Member {
    std::string key;  // as JSON writes it, quotes and all
    RuleId value;
    bool required;
  };
  // Names that are none of the members'; what their values must meet depends on which patterns
  // they match.
  struct Others {
    RuleId name;
    RuleId value;
  };
  struct Pattern {
    const PropertiesKeywords* keywords;
    SharedText text;
    SchemaId schema;
  };

  absl::Status FindMembers();
  bool TakesOthers() const;
  absl::Status FindOthers();
  absl::Status AddOthers(const std::vector<Pattern>& patterns, const std::vector<bool>& matched,
                         const SharedText& names);
  absl::Status CountMembers();
  StateId AddStates();

  // How many members to count: beyond that, more make no difference.
  uint32_t Counted(uint32_t count) const { return count < counts_ ? count + 1 : count; }
  bool MayHaveMore(uint32_t count) const { return !bounded_ || count < counts_; }
  StateId AfterMember(size_t next, uint32_t count) { return after_[next * (counts_ + 1) + count]; }
  StateId BeforeValue(RuleId value, StateId after);
  void AddNames(StateId from, size_t next, uint32_t count);

  SchemaRules& rules_;
  SchemaShapes& shapes_;
  GrammarBuilder& builder_;
  const Shape& shape_;
  std::vector<std::string> names_;  // of all members, also of those that cannot be
  std::vector<Member> members_;
  std::vector<Others> others_;
  bool possible_ = true;

  uint32_t counts_ = 0;   // members are counted up to here
  bool bounded_ = false;  // and there may not be more
  // By the index of the member that may come next, and how many there were.
  std::vector<StateId> after_, keys_;
  std::vector<bool> may_end_;  // by index: nothing that is required comes any more
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_OBJECT_RULE_H_
