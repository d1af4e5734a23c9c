// Bytes as choices of tokens: the mask and Accept always agree, and there is always a way on.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/check.h"
#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "tests/constrain/documents.h"
#include "tests/constrain/random_schema.h"
#include "tests/tokenizer/small_vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  static const std::unique_ptr<Tokenizer> tokenizer = *Tokenizer::Create(
      SmallBpe({{"\"", ","}, {"\"", ":"}, {"]", "}"}, {"\\", "u"}, {"{", "\""}}, {"<|end|>"}));
  static const TokenTrie trie(*tokenizer);
  static TokenMasks masks(trie, 1 << 18);
  if (size < 2) return 0;
  const auto constraint = CompileSchema(RandomSchema(data[0]).schema());
  if (!constraint.ok()) return 0;
  Matcher matcher(*constraint, masks, tokenizer->stop_tokens());
  MaskWords mask(trie.words());
  for (size_t i = 1; i < size && i < 200 && !matcher.IsOver(); ++i) {
    HEARTH_CHECK(matcher.FillMask(absl::MakeSpan(mask)).ok());
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < tokenizer->vocab_size(); ++token) {
      if (mask[token / 64] >> (token % 64) & 1) allowed.push_back(token);
    }
    HEARTH_CHECK(!allowed.empty());
    // A token by its id, whether it may come or not; else one that may.
    const TokenId any = data[i];
    const bool may = mask[any / 64] >> (any % 64) & 1;
    HEARTH_CHECK(matcher.Accept(any) == may);
    if (!may) HEARTH_CHECK(matcher.Accept(allowed[data[i] % allowed.size()]));
  }
  return 0;
}
