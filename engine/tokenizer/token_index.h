// Finds tokens by their bytes: ids only, four bytes a slot; the bytes stay where they are.
#ifndef HEARTH_ENGINE_TOKENIZER_TOKEN_INDEX_H_
#define HEARTH_ENGINE_TOKENIZER_TOKEN_INDEX_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "engine/request.h"

namespace hearth {

class TokenIndex {
 public:
  // `strings`, by token id, must outlive the index and not change.
  explicit TokenIndex(const std::vector<std::string>& strings)
      : ids_(0, Hash{&strings}, Equal{&strings}) {}

  void Reserve(size_t tokens) { ids_.reserve(tokens); }

  // False when another token with the same bytes is there already.
  bool Insert(TokenId id) { return ids_.insert(id).second; }

  // The token with exactly these bytes, or -1.
  TokenId Find(std::string_view bytes) const {
    const auto it = ids_.find(bytes);
    return it == ids_.end() ? -1 : *it;
  }

 private:
  struct Hash {
    using is_transparent = void;
    const std::vector<std::string>* strings;
    size_t operator()(TokenId id) const { return (*this)(std::string_view((*strings)[id])); }
    size_t operator()(std::string_view bytes) const { return absl::HashOf(bytes); }
  };
  struct Equal {
    using is_transparent = void;
    const std::vector<std::string>* strings;
    bool operator()(TokenId a, TokenId b) const { return (*strings)[a] == (*strings)[b]; }
    bool operator()(TokenId a, std::string_view b) const { return (*strings)[a] == b; }
    bool operator()(std::string_view a, TokenId b) const { return a == (*strings)[b]; }
  };

  absl::flat_hash_set<TokenId, Hash, Equal> ids_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_TOKEN_INDEX_H_
