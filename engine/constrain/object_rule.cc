#include "engine/constrain/object_rule.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr size_t kMaxPatternClasses = 64;

}  // namespace

absl::StatusOr<StateId> ObjectRule::Add() {
  HEARTH_RETURN_IF_ERROR(FindMembers());
  HEARTH_RETURN_IF_ERROR(FindOthers());
  HEARTH_RETURN_IF_ERROR(CountMembers());
  if (!possible_) return builder_.AddState();  // it leads nowhere
  return AddStates();
}

absl::Status ObjectRule::FindMembers() {
  absl::flat_hash_set<std::string> known;
  const auto add = [&](const std::string& name) {
    if (known.insert(name).second) names_.push_back(name);
    return builder_.budget().Spend(static_cast<int64_t>(name.size() / 8) + 16);
  };
  for (const PropertiesKeywords* properties : shape_.properties) {
    for (const auto& [name, schema] : properties->named) HEARTH_RETURN_IF_ERROR(add(name));
  }
  absl::flat_hash_set<std::string> required;
  for (const std::string* name : shape_.required) {
    HEARTH_RETURN_IF_ERROR(add(*name));
    required.insert(*name);
  }
  for (const std::string& name : names_) {
    HEARTH_RETURN_IF_ERROR(builder_.budget().Spend(static_cast<int64_t>(name.size()) * 4 + 64));
    HEARTH_ASSIGN_OR_RETURN(const Conjunction all, shapes_.OfProperty(shape_, name));
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* value, shapes_.Of(all));
    HEARTH_ASSIGN_OR_RETURN(const bool named, AllAccept(shape_.names, name, builder_.budget()));
    if (value->empty() || !named) {
      if (required.contains(name)) possible_ = false;
      continue;
    }
    HEARTH_ASSIGN_OR_RETURN(const RuleId rule, rules_.RuleFor(all));
    members_.push_back({JsonText(name), rule, required.contains(name)});
  }
  return absl::OkStatus();
}

bool ObjectRule::TakesOthers() const {
  const auto& keywords = shape_.properties;
  return rules_.unlisted() == Unlisted::kTaken || keywords.empty() ||
         std::any_of(keywords.begin(), keywords.end(), [](const PropertiesKeywords* own) {
           return own->additional || !own->patterns.empty();
         });
}

absl::Status ObjectRule::FindOthers() {
  if (!TakesOthers()) return absl::OkStatus();
  std::vector<Pattern> patterns;
  for (const PropertiesKeywords* properties : shape_.properties) {
    for (const auto& [text, schema] : properties->patterns) {
      patterns.push_back({properties, text, schema});
    }
  }
  HEARTH_ASSIGN_OR_RETURN(const SharedText taken, OneOfTexts(names_, builder_.budget()));
  HEARTH_ASSIGN_OR_RETURN(
      const SharedText names,
      Intersect(shape_.names,
                names_.empty() ? std::vector<SharedText>() : std::vector<SharedText>{taken}, 0,
                TextDfa::kUnbounded, builder_.budget()));
  // Each pattern cuts the names that are left into those that match and those that do not.
  std::vector<std::pair<std::vector<bool>, SharedText>> classes = {{{}, names}};
  for (const Pattern& pattern : patterns) {
    decltype(classes) cut;
    for (const auto& [matched, text] : classes) {
      for (const bool match : {true, false}) {
        HEARTH_ASSIGN_OR_RETURN(
            const SharedText part,
            match ? Intersect({text, pattern.text}, {}, 0, TextDfa::kUnbounded, builder_.budget())
                  : Intersect({text}, {pattern.text}, 0, TextDfa::kUnbounded, builder_.budget()));
        if (part->empty()) continue;
        cut.push_back({matched, part});
        cut.back().first.push_back(match);
      }
    }
    classes = std::move(cut);
    if (classes.size() > kMaxPatternClasses) {
      return absl::InvalidArgumentError("too complex: its patternProperties overlap");
    }
  }
  for (const auto& [matched, text] : classes) {
    if (!text->empty()) HEARTH_RETURN_IF_ERROR(AddOthers(patterns, matched, text));
  }
  return absl::OkStatus();
}

absl::Status ObjectRule::AddOthers(const std::vector<Pattern>& patterns,
                                   const std::vector<bool>& matched, const SharedText& names) {
  HEARTH_RETURN_IF_ERROR(builder_.budget().Spend(
      static_cast<int64_t>(shape_.properties.size() * (patterns.size() + 1))));
  Conjunction all;
  for (const PropertiesKeywords* properties : shape_.properties) {
    const size_t before = all.size();
    for (size_t i = 0; i < patterns.size(); ++i) {
      if (patterns[i].keywords == properties && matched[i]) all.push_back(patterns[i].schema);
    }
    if (all.size() == before && properties->additional) all.push_back(*properties->additional);
  }
  HEARTH_ASSIGN_OR_RETURN(all, shapes_.Settled(std::move(all)));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* value, shapes_.Of(all));
  if (value->empty()) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(const RuleId rule, rules_.RuleFor(all));
  const RuleId name = builder_.AddRule();
  builder_.AddStart(name, builder_.AddTerminal(names, Spelling::kJsonString));
  others_.push_back({name, rule});
  return absl::OkStatus();
}

// Members are counted only where it matters.
absl::Status ObjectRule::CountMembers() {
  const auto required = static_cast<uint32_t>(std::count_if(
      members_.begin(), members_.end(), [](const Member& member) { return member.required; }));
  const uint32_t min = shape_.min_properties > required ? shape_.min_properties : 0;
  bounded_ = shape_.max_properties != Shape::kUnbounded &&
             (!others_.empty() || shape_.max_properties < members_.size());
  // Nothing keeps a model from writing the same other name twice, and a reader then counts one.
  if (min > 1 && !others_.empty()) {
    return shapes_.Error(shape_.min_properties_at, "minProperties",
                         "more than 1, and more than is required, is supported only where "
                         "additionalProperties is false and there are no patternProperties");
  }
  if (shape_.min_properties > shape_.max_properties) possible_ = false;
  counts_ = bounded_ ? shape_.max_properties : min;
  return absl::OkStatus();
}

StateId ObjectRule::BeforeValue(RuleId value, StateId after) {
  const StateId before = builder_.AddState(/*gap=*/true);
  builder_.AddCall(before, value, after);
  return builder_.Chain(":", before);
}

// What may follow a '{' or a ','.
void ObjectRule::AddNames(StateId from, size_t next, uint32_t count) {
  if (next < members_.size()) {
    builder_.AddEdge(from, '"', keys_[next * (counts_ + 1) + count]);
  }
  if (!may_end_[next]) return;
  for (const Others& others : others_) {
    const StateId after = AfterMember(members_.size(), Counted(count));
    builder_.AddCall(from, others.name, BeforeValue(others.value, after));
  }
}

StateId ObjectRule::AddStates() {
  const size_t size = members_.size();
  may_end_.assign(size + 1, true);
  for (size_t i = size; i-- > 0;) may_end_[i] = may_end_[i + 1] && !members_[i].required;
  const StateId end = builder_.AddAccept();
  const uint32_t min = bounded_ ? shape_.min_properties : counts_;
  for (size_t i = 0; i < (size + 1) * (counts_ + 1) && builder_.status().ok(); ++i) {
    after_.push_back(builder_.AddState(/*gap=*/true));
  }
  keys_.resize(after_.size());
  for (size_t i = size + 1; i-- > 0 && builder_.status().ok();) {
    for (uint32_t count = 0; count <= counts_ && builder_.status().ok(); ++count) {
      if (i < size && MayHaveMore(count)) {
        // Keys as a tree of bytes, so that only one path is followed at a time. What comes after
        // this member is the tree of the next one already, if this one may be missing.
        const StateId value = BeforeValue(members_[i].value, AfterMember(i + 1, Counted(count)));
        const std::string_view key = std::string_view(members_[i].key).substr(1);
        const bool skips = !members_[i].required && i + 1 < size;
        StateId& root = keys_[i * (counts_ + 1) + count];
        root = skips ? builder_.WithChain(keys_[(i + 1) * (counts_ + 1) + count], key, value)
                     : builder_.Chain(key, value);
      }
      const StateId after = AfterMember(i, count);
      if (may_end_[i] && count >= min) builder_.AddEdge(after, '}', end);
      if (!MayHaveMore(count)) continue;
      const StateId comma = builder_.AddState(/*gap=*/true);
      builder_.AddEdge(after, ',', comma);
      AddNames(comma, i, count);
    }
  }
  const StateId open = builder_.AddState(/*gap=*/true);
  if (!builder_.status().ok()) return open;
  if (may_end_[0] && min == 0) builder_.AddEdge(open, '}', end);
  if (MayHaveMore(0)) AddNames(open, 0, 0);
  return builder_.Chain("{", open);
}

}  // namespace hearth
