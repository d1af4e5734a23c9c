// Finding the subschemas that "$ref" names: by JSON Pointer (RFC 6901) or anchor.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "engine/constrain/schema_error.h"
#include "engine/constrain/schema_shapes.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// %41 → A. Nothing where a digit is missing.
std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    uint32_t byte = 0;
    const std::string digits(text.substr(i + 1, 2));
    if (digits.size() != 2 || !absl::SimpleHexAtoi(digits, &byte)) return std::nullopt;
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

std::optional<std::string> Unescaped(std::string_view token) {
  std::string text;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      text.push_back(token[i]);
      continue;
    }
    if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
    text.push_back(token[i] == '0' ? '~' : '/');
  }
  return text;
}

}  // namespace

SchemaId SchemaShapes::IdOf(const SchemaJson& json) {
  const auto [at, added] = ids_.emplace(&json, nodes_.size());
  if (added) nodes_.push_back({&json});
  return at->second;
}

absl::StatusOr<SchemaId> SchemaShapes::Resolve(SchemaId from, const std::string& reference) {
  const auto known = references_.find(reference);
  if (known != references_.end()) return known->second;
  if (reference.empty() || reference[0] != '#') {
    return Error(from, "$ref", "only references within the schema are supported: \"#...\"");
  }
  const std::optional<std::string> fragment = PercentDecoded(std::string_view(reference).substr(1));
  if (!fragment) return Error(from, "$ref", "not a URI reference");
  const bool pointer = fragment->empty() || (*fragment)[0] == '/';
  HEARTH_ASSIGN_OR_RETURN(const SchemaId target, pointer ? ResolvePointer(from, *fragment)
                                                         : ResolveAnchor(from, *fragment));
  references_.emplace(reference, target);
  return target;
}

absl::StatusOr<SchemaId> SchemaShapes::ResolvePointer(SchemaId from, const std::string& fragment) {
  const SchemaJson* at = &root_;
  for (size_t start = 0; start < fragment.size();) {
    const size_t end = std::min(fragment.find('/', start + 1), fragment.size());
    const std::optional<std::string> token =
        Unescaped(std::string_view(fragment).substr(start + 1, end - start - 1));
    if (!token) return Error(from, "$ref", "not a JSON Pointer");
    HEARTH_RETURN_IF_ERROR(
        budget_.Spend(static_cast<int64_t>(at->size() * (1 + token->size() / 64)) + 4));
    uint32_t index = 0;
    if (at->is_object() && at->contains(*token)) {
      at = &at->at(*token);
    } else if (at->is_array() && absl::SimpleAtoi(*token, &index) && index < at->size()) {
      at = &at->at(index);
    } else {
      return Error(from, "$ref", "there is nothing at this place");
    }
    start = end;
  }
  return IdOf(*at);
}

absl::StatusOr<SchemaId> SchemaShapes::ResolveAnchor(SchemaId from, const std::string& name) {
  // Values that are no schemas may look like some.
  constexpr std::string_view kValues[] = {"enum", "const", "default", "examples", "example"};
  std::vector<const SchemaJson*> pending = {&root_};
  while (!pending.empty()) {
    const SchemaJson* json = pending.back();
    pending.pop_back();
    HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(json->size()) * 8 + 8));
    if (json->is_object()) {
      const auto anchor = json->find("$anchor");
      if (anchor != json->end() && *anchor == name) return IdOf(*json);
    }
    if (!json->is_structured()) continue;
    for (const auto& [key, child] : json->items()) {
      if (json->is_object() &&
          std::find(std::begin(kValues), std::end(kValues), key) != std::end(kValues)) {
        continue;
      }
      if (child.is_structured()) pending.push_back(&child);
    }
  }
  return Error(from, "$ref", "there is no such anchor");
}

}  // namespace hearth
