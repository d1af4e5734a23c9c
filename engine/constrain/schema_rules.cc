#include "engine/constrain/schema_rules.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "engine/constrain/number.h"
#include "engine/constrain/object_rule.h"
#include "engine/constrain/schema_error.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// All of them are followed at once; an enum of plain values counts as one.
constexpr size_t kMaxStarts = 512;

// A state that reads what `state` does, after optional white space.
StateId AfterGap(StateId state, GrammarBuilder& builder) {
  const StateId gap = builder.AddState(/*gap=*/true);
  builder.CopyInto(gap, state);
  return gap;
}

// The states that read `value` and then go on at `next`: members in the order of the schema.
StateId AddLiteral(const SchemaJson& value, StateId next, GrammarBuilder& builder) {
  if (!value.is_structured() || value.empty()) return builder.Chain(JsonText(value), next);
  const bool object = value.is_object();
  StateId rest = builder.AddState(/*gap=*/true);
  builder.AddEdge(rest, object ? '}' : ']', next);
  for (auto member = value.end(); builder.status().ok();) {
    --member;
    StateId state = AddLiteral(*member, rest, builder);
    if (object) {
      state = AfterGap(state, builder);
      state = builder.Chain(JsonText(member.key()) + ":", state);
    }
    rest = AfterGap(state, builder);
    if (member == value.begin()) break;
    const StateId comma = builder.AddState(/*gap=*/true);
    builder.AddEdge(comma, ',', rest);
    rest = comma;
  }
  return builder.Chain(object ? "{" : "[", rest);
}

}  // namespace

absl::Status SchemaRules::Compile() {
  while (!queue_.empty()) {
    const auto [rule, all] = std::move(queue_.front());
    queue_.pop_front();
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* shapes, shapes_.Of(all));
    for (const Shape& shape : *shapes) {
      const absl::Status status = AddShape(rule, shape);
      if (status.ok()) continue;
      // Every schema involved is to blame; the last is the most particular.
      return SchemaErrorPointer(status) || all.empty()
                 ? status
                 : SchemaError(shapes_.PointerOf(all.back()), std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RuleId> SchemaRules::RuleFor(const Conjunction& all) {
  const auto known = rules_.find(all);
  if (known != rules_.end()) return known->second;
  HEARTH_RETURN_IF_ERROR(
      builder_.budget().Spend(64, static_cast<int64_t>(2 * all.size() * sizeof(SchemaId)) + 192));
  const RuleId rule = builder_.AddRule();
  rules_.emplace(all, rule);
  queue_.push_back({rule, all});
  return rule;
}

StateId SchemaRules::WordsOf(RuleId rule) {
  const auto [at, added] = words_.emplace(rule, 0);
  if (added) {
    at->second = builder_.AddState();
    builder_.AddStart(rule, at->second);
  }
  return at->second;
}

absl::Status SchemaRules::AddShape(RuleId rule, const Shape& shape) {
  if (shape.values) {
    HEARTH_RETURN_IF_ERROR(AddValues(rule, shape));
  } else {
    HEARTH_RETURN_IF_ERROR(AddTypes(rule, shape));
  }
  if (builder_.NumStarts(rule) > kMaxStarts) {
    return absl::InvalidArgumentError("too complex: too many alternatives");
  }
  return builder_.status();
}

absl::Status SchemaRules::AddTypes(RuleId rule, const Shape& shape) {
  if (shape.types & kNull) builder_.Insert(WordsOf(rule), "null");
  if (shape.types & kBoolean) {
    builder_.Insert(WordsOf(rule), "true");
    builder_.Insert(WordsOf(rule), "false");
  }
  if (shape.types & (kInteger | kFraction)) HEARTH_RETURN_IF_ERROR(AddNumber(rule, shape));
  if (shape.types & kString) HEARTH_RETURN_IF_ERROR(AddString(rule, shape));
  if (shape.types & kArray) HEARTH_RETURN_IF_ERROR(AddArray(rule, shape));
  if (shape.types & kObject) {
    HEARTH_ASSIGN_OR_RETURN(const StateId start, ObjectRule(*this, shape).Add());
    builder_.AddStart(rule, start);
  }
  return absl::OkStatus();
}

absl::Status SchemaRules::AddValues(RuleId rule, const Shape& shape) {
  for (const SchemaJson* value : *shape.values) {
    HEARTH_ASSIGN_OR_RETURN(const bool meets, shapes_.MeetsRest(shape, *value));
    if (!meets) continue;
    if (value->is_structured()) {
      builder_.AddStart(rule, AddLiteral(*value, builder_.AddAccept(), builder_));
    } else {
      builder_.Insert(WordsOf(rule), JsonText(*value));
    }
    HEARTH_RETURN_IF_ERROR(builder_.status());
  }
  return absl::OkStatus();
}

absl::Status SchemaRules::AddNumber(RuleId rule, const Shape& shape) {
  const NumberRange range{!(shape.types & kFraction), shape.low, shape.high, shape.multiple_of};
  SharedText& text = numbers_[range];
  if (text == nullptr) {
    HEARTH_ASSIGN_OR_RETURN(text, NumberText(range, builder_.budget()));
  }
  if (!text->empty()) builder_.AddStart(rule, builder_.AddTerminal(text, Spelling::kUtf8));
  return absl::OkStatus();
}

absl::Status SchemaRules::AddString(RuleId rule, const Shape& shape) {
  HEARTH_ASSIGN_OR_RETURN(const SharedText text, Intersect(shape.texts, {}, shape.min_length,
                                                           shape.max_length, builder_.budget()));
  if (!text->empty()) builder_.AddStart(rule, builder_.AddTerminal(text, Spelling::kJsonString));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RuleId>> SchemaRules::ItemRules(const Shape& shape, size_t count) {
  std::vector<RuleId> rules;
  for (size_t i = 0; i < count; ++i) {
    HEARTH_ASSIGN_OR_RETURN(const Conjunction all, shapes_.OfItem(shape, i));
    HEARTH_ASSIGN_OR_RETURN(const RuleId rule, RuleFor(all));
    rules.push_back(rule);
  }
  return rules;
}

absl::Status SchemaRules::AddArray(RuleId rule, const Shape& shape) {
  if (shape.min_items > shape.max_items) return absl::OkStatus();
  size_t listed = 0;  // from here on all items are alike
  for (const ItemsKeywords* items : shape.items) listed = std::max(listed, items->prefix.size());
  // From how many items on it makes no difference how many they are.
  const size_t varied = std::max<size_t>(shape.min_items, listed);
  const bool bounded = shape.max_items != Shape::kUnbounded;
  const size_t last = bounded ? shape.max_items : varied + 1;
  HEARTH_ASSIGN_OR_RETURN(const std::vector<RuleId> items,
                          ItemRules(shape, std::min(last, listed + 1)));

  const StateId end = builder_.AddAccept();
  // after[k]: k items have been read.
  StateId next = 0;
  for (size_t k = last; k > 0 && builder_.status().ok(); --k) {
    const StateId after = builder_.AddState(/*gap=*/true);
    if (k >= shape.min_items) builder_.AddEdge(after, ']', end);
    if (k < last || !bounded) {
      const StateId comma = builder_.AddState(/*gap=*/true);
      builder_.AddEdge(after, ',', comma);
      builder_.AddCall(comma, items[std::min(k, items.size() - 1)], k == last ? after : next);
    }
    next = after;
  }
  const StateId open = builder_.AddState(/*gap=*/true);
  if (shape.min_items == 0) builder_.AddEdge(open, ']', end);
  if (last > 0) builder_.AddCall(open, items[0], next);
  builder_.AddStart(rule, builder_.Chain("[", open));
  return absl::OkStatus();
}

absl::StatusOr<RuleId> AddSchemaRule(const SchemaJson& schema, std::string_view pointer,
                                     uint8_t types, Unlisted unlisted, GrammarBuilder& builder) {
  SchemaShapes shapes(schema, pointer, builder.budget());
  SchemaRules rules(shapes, unlisted, builder);
  const RuleId root = builder.AddRule();
  HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* alternatives, shapes.Of({shapes.root()}));
  for (const Shape& alternative : *alternatives) {
    HEARTH_ASSIGN_OR_RETURN(Shape shape, shapes.Copy(alternative));
    shape.types &= types;
    HEARTH_RETURN_IF_ERROR(rules.AddShape(root, shape));
  }
  HEARTH_RETURN_IF_ERROR(rules.Compile());
  HEARTH_ASSIGN_OR_RETURN(const auto overlaps, shapes.FindOverlaps());
  for (const SchemaShapes::Overlap& overlap : overlaps) {
    // What both members allow, as a grammar of its own: is there any document?
    GrammarBuilder both(builder.budget());
    const RuleId rule = both.AddRule();
    SchemaRules both_rules(shapes, unlisted, both);
    for (const Shape& shape : overlap.shapes) {
      HEARTH_RETURN_IF_ERROR(both_rules.AddShape(rule, shape));
    }
    HEARTH_RETURN_IF_ERROR(both_rules.Compile());
    if (!std::move(both).Build().IsEmptyRule(rule)) {
      return shapes.Error(overlap.at, "oneOf",
                          "only supported where no document meets two of the schemas");
    }
  }
  return root;
}

}  // namespace hearth
