// Merges adjacent symbols, best first and leftmost among equals: the core of both tokenizers.
#ifndef HEARTH_ENGINE_TOKENIZER_SYMBOL_CHAIN_H_
#define HEARTH_ENGINE_TOKENIZER_SYMBOL_CHAIN_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/request.h"

namespace hearth {

// Longer stretches of text are cut before they are made a chain, which takes tens of bytes for each
// of theirs. Words are shorter, so what people write is encoded exactly.
inline constexpr size_t kMaxChainBytes = 128 * 1024;

// A stretch of the text, as good as encoded.
struct Symbol {
  uint32_t start;
  uint32_t length;  // 0: merged into the symbol before it
  TokenId id;       // -1: no token (yet)
  int32_t prev;     // indices into the chain; -1: none
  int32_t next;
};

// What two adjacent symbols become, and how soon: the lower rank goes first.
struct Merge {
  int32_t rank;
  TokenId id;
};

// Reused from piece to piece, so that it allocates only for the longest one.
class SymbolChain {
 public:
  void Clear() { symbols_.clear(); }

  // REQUIRES: the symbols come in text order, without gaps, none empty.
  void Append(uint32_t start, uint32_t length, TokenId id) {
    const int32_t index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({start, length, id, index - 1, -1});
  }

  // Merges until `find` finds nothing more. find(left, right) is a pure function of the two
  // symbols and returns std::optional<Merge>. Time O(n log n) and O(n) calls of `find`.
  template <typename Find>
  void MergeAll(const Find& find) {
    candidates_.clear();
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) {
      if (auto found = FindAt(find, static_cast<int32_t>(i))) candidates_.push_back(*found);
    }
    std::make_heap(candidates_.begin(), candidates_.end());
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (!IsCurrent(best)) continue;
      Apply(best);
      Push(FindAt(find, best.left));
      Push(FindAt(find, symbols_[best.left].prev));
    }
  }

  // Calls visit(symbol) for each symbol that is left, in text order.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = symbols_[i].next) visit(symbols_[i]);
  }

 private:
  struct Candidate {
    Merge merge;
    int32_t left;     // index of the left symbol
    uint32_t length;  // of both together: tells whether they are still what they were

    // Heap order: the best is the greatest.
    bool operator<(const Candidate& other) const {
      if (merge.rank != other.merge.rank) return merge.rank > other.merge.rank;
      return left > other.left;
    }
  };

  template <typename Find>
  std::optional<Candidate> FindAt(const Find& find, int32_t left) const {
    if (left < 0 || symbols_[left].next < 0) return std::nullopt;
    const Symbol& a = symbols_[left];
    const Symbol& b = symbols_[a.next];
    const std::optional<Merge> merge = find(a, b);
    if (!merge) return std::nullopt;
    return Candidate{*merge, left, a.length + b.length};
  }

  void Push(const std::optional<Candidate>& candidate) {
    if (!candidate) return;
    candidates_.push_back(*candidate);
    std::push_heap(candidates_.begin(), candidates_.end());
  }

  // Symbols only grow to the right or die, so equal total length means the same two symbols.
  bool IsCurrent(const Candidate& candidate) const {
    const Symbol& left = symbols_[candidate.left];
    return left.length > 0 && left.next >= 0 &&
           left.length + symbols_[left.next].length == candidate.length;
  }

  void Apply(const Candidate& candidate) {
    Symbol& left = symbols_[candidate.left];
    Symbol& right = symbols_[left.next];
    left.length += right.length;
    left.id = candidate.merge.id;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) symbols_[left.next].prev = candidate.left;
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_SYMBOL_CHAIN_H_
