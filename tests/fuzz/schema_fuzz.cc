// Any bytes as a schema: an InvalidArgument or a constraint, and then a first mask that lets
// something happen.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/check.h"
#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "tests/tokenizer/small_vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  static const std::unique_ptr<Tokenizer> tokenizer = *Tokenizer::Create(SmallBpe({}, {"<|end|>"}));
  static const TokenTrie trie(*tokenizer);
  static TokenMasks masks(trie, 1 << 20);
  if (size > 4096) return 0;
  const auto constraint =
      Constraint::Compile(JsonSchemaSource{std::string(reinterpret_cast<const char*>(data), size)});
  if (!constraint.ok()) {
    HEARTH_CHECK(absl::IsInvalidArgument(constraint.status()));
    return 0;
  }
  Matcher matcher(*constraint, masks, tokenizer->stop_tokens());
  MaskWords mask(trie.words());
  if (!matcher.FillMask(absl::MakeSpan(mask)).ok()) return 0;  // too ambiguous
  bool any = false;
  for (const uint64_t word : mask) any = any || word != 0;
  HEARTH_CHECK(any);
  return 0;
}
