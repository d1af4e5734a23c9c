#include "engine/constrain/constraint_cache.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr size_t kShares = 4;  // so many of the largest constraints fit at once

size_t BytesOf(const JsonSchemaSource& source) {
  return source.schema.size() + source.pointer.size();
}
size_t BytesOf(const RegexSource& source) { return source.pattern.size(); }
size_t BytesOf(const ChoiceSource& source) {
  size_t bytes = 0;
  for (const std::string& text : source.texts) bytes += sizeof(text) + text.size();
  return bytes;
}
size_t BytesOf(const ToolCallsSource& source) {
  size_t bytes = 0;
  for (const ToolSource& tool : source.tools) {
    bytes += sizeof(tool) + tool.name.size() + tool.parameters.size() + tool.pointer.size();
  }
  return bytes;
}

}  // namespace

std::shared_ptr<const Constraint> ConstraintCache::Find(const ConstraintSource& source) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.source == source; });
  if (known == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, known);
  return known->constraint;
}

absl::StatusOr<std::shared_ptr<const Constraint>> ConstraintCache::Compile(
    const ConstraintSource& source) {
  if (auto known = Find(source)) return known;
  const std::lock_guard compiling(compiling_);
  // Somebody else may have compiled it meanwhile.
  if (auto known = Find(source)) return known;
  HEARTH_ASSIGN_OR_RETURN(auto constraint, Constraint::Compile(source));
  const size_t bytes = sizeof(Entry) + constraint->bytes() +
                       std::visit([](const auto& kind) { return BytesOf(kind); }, source);
  if (bytes > limit_ / kShares) {
    return absl::InvalidArgumentError(absl::StrCat("too complex: compiled, it takes ", bytes,
                                                   " bytes; at most ", limit_ / kShares,
                                                   " are supported"));
  }
  const std::lock_guard lock(mutex_);
  if (!MakeRoom(bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat("the constraint takes ", bytes,
                                                     " bytes, and those of requests under way ",
                                                     bytes_, " of ", limit_));
  }
  entries_.push_front({source, constraint, bytes});
  bytes_ += bytes;
  return constraint;
}

bool ConstraintCache::MakeRoom(size_t bytes) {
  for (auto entry = entries_.end(); bytes_ + bytes > limit_ && entry != entries_.begin();) {
    --entry;
    // Nobody can come to hold it meanwhile: that takes the mutex.
    if (entry->constraint.use_count() > 1) continue;
    bytes_ -= entry->bytes;
    entry = entries_.erase(entry);
  }
  return bytes_ + bytes <= limit_;
}

}  // namespace hearth
