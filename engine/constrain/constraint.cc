#include "engine/constrain/constraint.h"

#include <string_view>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/constrain/automaton.h"
#include "engine/constrain/regex.h"
#include "engine/constrain/schema_error.h"
#include "engine/constrain/schema_rules.h"
#include "engine/constrain/tool_rule.h"
#include "engine/status_macros.h"
#include "engine/strict_json.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// Makes the grammar of one source.
class Compiler {
 public:
  absl::StatusOr<Grammar> Compile(const ConstraintSource& source) {
    HEARTH_RETURN_IF_ERROR(std::visit([this](const auto& kind) { return Add(kind); }, source));
    HEARTH_RETURN_IF_ERROR(builder_.status());
    Grammar grammar = std::move(builder_).Build();
    for (const Schema& schema : schemas_) {
      if (!grammar.IsEmptyRule(schema.rule)) continue;
      return SchemaError(schema.pointer, "no document can meet it");
    }
    Automaton automaton(grammar);
    Configuration start;
    automaton.Start(start);
    if (start.too_many) return absl::InvalidArgumentError("too complex: too many alternatives");
    if (start.items.empty()) {
      return absl::InvalidArgumentError("nothing but the empty text is allowed");
    }
    return grammar;
  }

 private:
  struct Schema {
    RuleId rule;
    std::string_view pointer;  // where it lies
  };

  absl::Status Add(const JsonSchemaSource& source) {
    HEARTH_ASSIGN_OR_RETURN(const RuleId rule,
                            AddSchema(source.schema, source.pointer, kAnyType, Unlisted::kTaken));
    const StateId start = builder_.AddState();
    builder_.AddCall(start, rule, builder_.AddAccept());
    builder_.AddStart(root_, start);
    return absl::OkStatus();
  }

  absl::Status Add(const RegexSource& source) {
    HEARTH_ASSIGN_OR_RETURN(const SharedText text,
                            CompileRegex(source.pattern, RegexMatch::kWhole, budget_));
    if (text->empty()) return absl::InvalidArgumentError("nothing matches the regular expression");
    builder_.AddStart(root_, builder_.AddTerminal(text, Spelling::kUtf8));
    return absl::OkStatus();
  }

  absl::Status Add(const ChoiceSource& source) {
    if (source.texts.empty()) return absl::InvalidArgumentError("there is nothing to choose from");
    const StateId start = builder_.AddState();
    for (size_t i = 0; i < source.texts.size(); ++i) {
      if (!IsWholeUtf8(source.texts[i])) {
        return absl::InvalidArgumentError(absl::StrCat("choice ", i, " is not UTF-8"));
      }
      builder_.Insert(start, source.texts[i]);
    }
    builder_.AddStart(root_, start);
    return absl::OkStatus();
  }

  absl::Status Add(const ToolCallsSource& source) {
    std::vector<RuleId> arguments;
    for (const ToolSource& tool : source.tools) {
      HEARTH_ASSIGN_OR_RETURN(
          const RuleId rule, AddSchema(tool.parameters, tool.pointer, kObject, Unlisted::kRefused));
      arguments.push_back(rule);
    }
    return AddToolRule(source, arguments, root_, builder_);
  }

  // Every error has a pointer; without one of its own it is about the whole schema.
  absl::StatusOr<RuleId> AddSchema(std::string_view text, std::string_view pointer, uint8_t types,
                                   Unlisted unlisted) {
    auto rule = AddSchemaText(text, pointer, types, unlisted);
    if (rule.ok()) {
      schemas_.push_back({*rule, pointer});
    } else if (!SchemaErrorPointer(rule.status())) {
      return SchemaError(pointer, std::string(rule.status().message()));
    }
    return rule;
  }
  absl::StatusOr<RuleId> AddSchemaText(std::string_view text, std::string_view pointer,
                                       uint8_t types, Unlisted unlisted) {
    HEARTH_ASSIGN_OR_RETURN(const SchemaJson schema, ParseStrictJson<SchemaJson>(text));
    return AddSchemaRule(schema, pointer, types, unlisted, builder_);
  }

  CompileBudget budget_;
  GrammarBuilder builder_{budget_};
  const RuleId root_ = builder_.AddRule();
  std::vector<Schema> schemas_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Constraint>> Constraint::Compile(
    const ConstraintSource& source) {
  HEARTH_ASSIGN_OR_RETURN(Grammar grammar, Compiler().Compile(source));
  return std::shared_ptr<const Constraint>(new Constraint(std::move(grammar)));
}

}  // namespace hearth
