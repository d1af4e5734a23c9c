// The tokens of a vocabulary as trees of bytes. Made once per tokenizer; immutable; safe from any
// thread.
#ifndef HEARTH_ENGINE_CONSTRAIN_TOKEN_TRIE_H_
#define HEARTH_ENGINE_CONSTRAIN_TOKEN_TRIE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/constrain/char_set.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth {

// Bits by token id: bit id % 64 of word id / 64.
using MaskWords = std::vector<uint64_t>;

class TokenTrie {
 public:
  static constexpr size_t kCounted = 16;

  // In preorder: the first child of a node comes right after it.
  struct Node {
    uint32_t end = 0;          // after the last node of its subtree
    uint32_t first_token = 0;  // its own tokens, then those below it
    uint16_t depth = 0;        // bytes from the root
    uint8_t byte = 0;
    uint8_t chars = 0;        // characters that begin from the root on; at most 255
    uint8_t chars_below = 0;  // the most that begin below it; at most 255
  };

  // Tokens with characters of one class only, or with anything else in them: then no class.
  // Where an automaton takes any characters of the class, whole subtrees need no look.
  struct Slice {
    std::optional<CharClass> char_class;
    std::vector<Node> nodes;      // the root; and one more, after the last
    std::vector<TokenId> tokens;  // of all nodes in order
    MaskWords mask;               // all its tokens; only with a class
    // Those of at most so many characters; only with a class.
    std::array<MaskWords, kCounted + 1> up_to;
    std::array<uint32_t, 256> children{};  // of the root, by byte; 0: none

    absl::Span<const TokenId> TokensAt(uint32_t node) const {
      return Tokens(nodes[node].first_token, nodes[node + 1].first_token);
    }
    absl::Span<const TokenId> TokensWithin(uint32_t node) const {
      return Tokens(nodes[node].first_token, nodes[nodes[node].end].first_token);
    }

   private:
    absl::Span<const TokenId> Tokens(uint32_t begin, uint32_t end) const {
      return absl::MakeConstSpan(tokens).subspan(begin, end - begin);
    }
  };

  // Markers and unknown tokens stand for no text and are in no slice. REQUIRES: tokenizer outlives
  // the trie.
  explicit TokenTrie(const Tokenizer& tokenizer);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  // What a token stands for; empty for those in no slice. REQUIRES: it is one of the vocabulary.
  std::string_view TextOf(TokenId token) const;
  absl::Span<const Slice> slices() const { return slices_; }
  // Characters of the longest token.
  uint32_t longest() const { return longest_; }
  // The memory it takes, for plans: some 10 MiB for 200,000 tokens.
  size_t bytes() const;
  size_t words() const { return (static_cast<size_t>(tokenizer_.vocab_size()) + 63) / 64; }

 private:
  struct Entry {
    std::string_view bytes;
    TokenId token;
  };
  Slice Build(std::optional<CharClass> char_class, std::vector<Entry> entries) const;

  const Tokenizer& tokenizer_;
  std::vector<Slice> slices_;
  uint32_t longest_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_TOKEN_TRIE_H_
