#include "engine/constrain/matcher.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/status_macros.h"

namespace hearth {

Matcher::Matcher(std::shared_ptr<const Constraint> constraint, TokenMasks& masks,
                 absl::Span<const TokenId> stop_tokens, int32_t min_tokens)
    : constraint_(std::move(constraint)),
      min_tokens_(min_tokens),
      masks_(masks),
      automaton_(constraint_->grammar()),
      compact_at_(kSpareFrames) {
  const TokenId end = masks.trie().tokenizer().vocab_size();
  std::copy_if(stop_tokens.begin(), stop_tokens.end(), std::back_inserter(stop_tokens_),
               [&](TokenId token) { return token >= 0 && token < end; });
  automaton_.Start(configuration_);
}

void Matcher::CompactStacks() {
  if (automaton_.frames() <= compact_at_) return;
  automaton_.Compact(configuration_);
  compact_at_ = 2 * automaton_.frames() + kSpareFrames;
}

absl::Status Matcher::FillMask(absl::Span<uint64_t> mask) {
  if (stopped_) {
    std::fill(mask.begin(), mask.end(), 0);
    return absl::OkStatus();
  }
  const absl::Status filled = masks_.Fill(automaton_, configuration_, mask);
  // Looking ahead makes stacks, which a request that now waits or fails need not hold.
  CompactStacks();
  HEARTH_RETURN_IF_ERROR(filled);
  if (!MayStop()) return absl::OkStatus();
  for (const TokenId token : stop_tokens_) {
    mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
  }
  return absl::OkStatus();
}

bool Matcher::Accept(TokenId token) {
  const Tokenizer& tokenizer = masks_.trie().tokenizer();
  if (stopped_ || token < 0 || token >= tokenizer.vocab_size()) return false;
  if (MayStop() && std::count(stop_tokens_.begin(), stop_tokens_.end(), token) > 0) {
    stopped_ = true;
    return true;
  }
  if (tokenizer.IsMarker(token)) {
    automaton_.StepMarker(configuration_, token, next_);
  } else {
    next_ = configuration_;
    const std::string_view bytes = masks_.trie().TextOf(token);
    if (bytes.empty()) return false;
    for (const char byte : bytes) {
      if (next_.too_many) break;
      std::swap(from_, next_);
      automaton_.Step(from_, static_cast<uint8_t>(byte), next_);
    }
  }
  if (next_.dead()) return false;
  std::swap(configuration_, next_);
  CompactStacks();
  ++accepted_;
  return true;
}

}  // namespace hearth
