#include "engine/constrain/token_trie.h"

#include <algorithm>
#include <utility>

#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// The first class that has all characters of the text; none where it is not whole UTF-8.
std::optional<CharClass> ClassOf(std::string_view text) {
  int char_class = 0;
  while (!text.empty()) {
    const Utf8Char next = FirstUtf8Char(text);
    if (next.kind != Utf8Char::kWhole) return std::nullopt;
    while (!CharsOf(static_cast<CharClass>(char_class)).Contains(next.code)) {
      if (++char_class == kCharClasses) return std::nullopt;
    }
    text.remove_prefix(next.length);
  }
  return static_cast<CharClass>(char_class);
}

bool BeginsChar(char byte) { return (byte & 0xC0) != 0x80; }

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  std::array<std::vector<Entry>, kCharClasses + 1> entries;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view bytes = TextOf(id);
    if (bytes.empty()) continue;
    const std::optional<CharClass> char_class = ClassOf(bytes);
    entries[char_class ? *char_class : kCharClasses].push_back({bytes, id});
    const auto chars = static_cast<uint32_t>(std::count_if(bytes.begin(), bytes.end(), BeginsChar));
    longest_ = std::max(longest_, chars);
  }
  for (int i = 0; i <= kCharClasses; ++i) {
    const bool any = i == kCharClasses;
    slices_.push_back(Build(any ? std::nullopt : std::optional(static_cast<CharClass>(i)),
                            std::move(entries[i])));
  }
}

std::string_view TokenTrie::TextOf(TokenId token) const {
  if (tokenizer_.IsMarker(token)) return {};
  if (tokenizer_.vocabulary().types[token] == TokenType::kUnknown) return {};
  return tokenizer_.Bytes(token);
}

size_t TokenTrie::bytes() const {
  size_t bytes = sizeof(*this);
  for (const Slice& slice : slices_) {
    bytes += sizeof(Slice) + slice.nodes.size() * sizeof(Node) +
             slice.tokens.size() * sizeof(TokenId) + slice.mask.size() * sizeof(uint64_t);
    for (const MaskWords& mask : slice.up_to) bytes += mask.size() * sizeof(uint64_t);
  }
  return bytes;
}

TokenTrie::Slice TokenTrie::Build(std::optional<CharClass> char_class,
                                  std::vector<Entry> entries) const {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.token < b.token;
  });
  Slice slice;
  slice.char_class = char_class;
  if (char_class) {
    slice.mask.resize(words());
    slice.up_to.fill(slice.mask);
  }
  slice.nodes.emplace_back();
  std::vector<uint32_t> path = {0};  // open nodes, from the root
  const auto close = [&] {
    const uint32_t closed = path.back();
    path.pop_back();
    slice.nodes[closed].end = static_cast<uint32_t>(slice.nodes.size());
    if (path.empty()) return;
    const Node& node = slice.nodes[closed];
    const int chars = node.chars_below + BeginsChar(static_cast<char>(node.byte));
    uint8_t& below = slice.nodes[path.back()].chars_below;
    below = std::max(below, static_cast<uint8_t>(std::min(chars, 255)));
  };
  std::string_view previous;
  for (const Entry& entry : entries) {
    const auto [a, b] =
        std::mismatch(previous.begin(), previous.end(), entry.bytes.begin(), entry.bytes.end());
    for (const size_t shared = a - previous.begin(); path.size() > shared + 1;) close();
    for (size_t i = path.size() - 1; i < entry.bytes.size(); ++i) {
      const auto node = static_cast<uint32_t>(slice.nodes.size());
      const auto byte = static_cast<uint8_t>(entry.bytes[i]);
      if (i == 0) slice.children[byte] = node;
      const int chars = slice.nodes[path.back()].chars + BeginsChar(entry.bytes[i]);
      slice.nodes.push_back({0, static_cast<uint32_t>(slice.tokens.size()),
                             static_cast<uint16_t>(i + 1), byte,
                             static_cast<uint8_t>(std::min(chars, 255)), 0});
      path.push_back(node);
    }
    slice.tokens.push_back(entry.token);
    if (char_class) {
      const uint64_t bit = uint64_t{1} << (entry.token % 64);
      slice.mask[entry.token / 64] |= bit;
      for (size_t most = slice.nodes[path.back()].chars; most <= kCounted; ++most) {
        slice.up_to[most][entry.token / 64] |= bit;
      }
    }
    previous = entry.bytes;
  }
  while (!path.empty()) close();
  slice.nodes.push_back({0, static_cast<uint32_t>(slice.tokens.size()), 0, 0, 0, 0});
  slice.nodes.shrink_to_fit();
  return slice;
}

}  // namespace hearth
