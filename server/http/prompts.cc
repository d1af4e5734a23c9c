#include "server/http/prompts.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr char kPromptKinds[] = "must be a string, a list of token ids, or a list of either";

// One prompt; nullopt for what is none.
absl::StatusOr<std::optional<PromptSpec>> ReadOne(const Json& prompt, std::string_view name) {
  if (prompt.is_string()) return PromptSpec(StringOf(prompt));
  if (!prompt.is_array()) return std::nullopt;
  std::vector<int64_t> ids;
  for (const Json& id : prompt) {
    if (!id.is_number_integer()) return std::nullopt;
    HEARTH_ASSIGN_OR_RETURN(const int64_t value, ToInteger(id, name));
    ids.push_back(value);
  }
  return PromptSpec(std::move(ids));
}

}  // namespace

absl::StatusOr<std::vector<PromptSpec>> ReadPrompts(const Json& body, std::string_view name) {
  const Json* member = FindMember(body, name);
  if (member == nullptr) return InvalidParam(name, "is missing");
  std::vector<PromptSpec> prompts;
  HEARTH_ASSIGN_OR_RETURN(std::optional<PromptSpec> one, ReadOne(*member, name));
  if (one) {
    prompts.push_back(*std::move(one));
    return prompts;
  }
  if (!member->is_array()) return InvalidParam(name, kPromptKinds);
  for (const Json& item : *member) {
    HEARTH_ASSIGN_OR_RETURN(std::optional<PromptSpec> read, ReadOne(item, name));
    if (!read) return InvalidParam(name, kPromptKinds);
    prompts.push_back(*std::move(read));
  }
  return prompts;
}

}  // namespace hearth::server
