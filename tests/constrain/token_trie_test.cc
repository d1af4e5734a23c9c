#include "engine/constrain/token_trie.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

std::unique_ptr<Tokenizer> Bpe() {
  return *Tokenizer::Create(SmallBpe({{"a", "b"},
                                      {"ab", "c"},
                                      {"a", " "},
                                      {"\xC3", "\xA9"},
                                      {"\xC3\xA9", "\xC3\xA9"},
                                      {"\"", ","},
                                      {"A", "1"},
                                      {"a", "\xC3"}},
                                     {"<|end|>", "<|tool_call|>"}));
}

TEST(TokenTrieTest, EveryTextTokenIsInOneSliceAtItsBytes) {
  const auto tokenizer = Bpe();
  const TokenTrie trie(*tokenizer);
  std::map<TokenId, std::string> found;
  for (const TokenTrie::Slice& slice : trie.slices()) {
    std::vector<std::string> path(1);
    for (uint32_t i = 0; i + 1 < slice.nodes.size(); ++i) {
      const TokenTrie::Node& node = slice.nodes[i];
      path.resize(node.depth + 1);
      if (i > 0) path[node.depth] = path[node.depth - 1] + static_cast<char>(node.byte);
      for (const TokenId token : slice.TokensAt(i)) {
        EXPECT_TRUE(found.emplace(token, path[node.depth]).second);
        if (slice.char_class) {
          EXPECT_TRUE(slice.mask[token / 64] >> (token % 64) & 1);
        }
      }
    }
  }
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    if (tokenizer->IsMarker(id)) {
      EXPECT_EQ(found.count(id), 0u);
    } else {
      EXPECT_EQ(found[id], tokenizer->Bytes(id));
    }
  }
  EXPECT_EQ(trie.longest(), 3u);
}

TEST(TokenTrieTest, SlicesAreByCharacters) {
  const auto tokenizer = Bpe();
  const TokenTrie trie(*tokenizer);
  const auto slice_of = [&](const std::string& text) {
    for (size_t i = 0; i < trie.slices().size(); ++i) {
      for (const TokenId token : trie.slices()[i].tokens) {
        if (tokenizer->Bytes(token) == text) return static_cast<int>(i);
      }
    }
    return -1;
  };
  EXPECT_EQ(slice_of("abc"), kLowerCase);
  EXPECT_EQ(slice_of("A1"), kAlphanumeric);
  EXPECT_EQ(slice_of("a "), kWords);
  EXPECT_EQ(slice_of(","), kAsciiText);
  EXPECT_EQ(slice_of("\xC3\xA9"), kText);
  EXPECT_EQ(slice_of("\","), kCharClasses);
  EXPECT_EQ(slice_of("\xC3"), kCharClasses);
  EXPECT_EQ(slice_of("a\xC3"), kCharClasses);
  EXPECT_EQ(slice_of("\n"), kCharClasses);
}

TEST(TokenTrieTest, NodesCountTheCharactersBelow) {
  const auto tokenizer = Bpe();
  const TokenTrie trie(*tokenizer);
  const TokenTrie::Slice& lower = trie.slices()[kLowerCase];
  EXPECT_EQ(lower.nodes[0].chars_below, 3);
  EXPECT_EQ(lower.nodes[lower.children['a']].chars_below, 2);
  EXPECT_EQ(lower.nodes[lower.children['b']].chars_below, 0);
  EXPECT_EQ(lower.children['A'], 0u);
  const TokenTrie::Slice& text = trie.slices()[kText];
  EXPECT_EQ(text.nodes[0].chars_below, 2);
  // "\xC3" is where the first character ends, but for its last byte; one more may follow.
  EXPECT_EQ(text.nodes[text.children[0xC3] + 1].chars_below, 1);
}

}  // namespace
}  // namespace hearth
