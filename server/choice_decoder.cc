#include "server/choice_decoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hearth::server {

ChoiceDecoder::ChoiceDecoder(const Tokenizer& tokenizer, ChoiceOptions options)
    : options_(std::move(options)),
      decoder_(tokenizer, options_.drop_leading_space),
      stop_strings_(options_.stop) {
  if (options_.tool_calls) parser_.emplace(options_.tool_calls->opening);
}

void ChoiceDecoder::Echo(absl::Span<const TokenId> ids, std::deque<Output>& out) {
  Delta delta{options_.index, "", {}};
  for (TokenId id : ids) {
    delta.tokens.push_back({id, std::nullopt, {}, characters_});
    delta.text += Decode(id);
  }
  out.push_back(std::move(delta));
}

void ChoiceDecoder::Echo(const std::vector<Token>& tokens, std::deque<Output>& out) {
  Delta delta{options_.index, "", {}};
  for (const Token& token : tokens) {
    delta.tokens.push_back(Shown(token));
    delta.text += Decode(token.id);
  }
  out.push_back(std::move(delta));
}

OutputToken ChoiceDecoder::Shown(const Token& token) const {
  if (!options_.logprobs) return {token.id, std::nullopt, {}, characters_};
  return {token.id, token.logprob.logprob, token.top, characters_};
}

std::string ChoiceDecoder::Decode(TokenId id) {
  std::string text = decoder_.Push(id);
  characters_ += std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return text;
}

void ChoiceDecoder::Push(const Token& token, std::deque<Output>& out) {
  ++tokens_;
  out.push_back(Delta{options_.index, "", {Shown(token)}});
  const bool opens = options_.tool_calls && token.id == options_.tool_calls->open;
  const bool closes = options_.tool_calls && token.id == options_.tool_calls->close;
  if (!opens && !closes) return Show(Decode(token.id), out);
  // The markers of calls are no text, however they are spelt.
  Show(decoder_.Flush(), out);
  if (!stopped()) Show(opens ? parser_->Open() : parser_->Close(), out);
}

void ChoiceDecoder::Finish(std::deque<Output>& out) {
  if (stopped()) return;
  Show(decoder_.Flush(), out);
  if (parser_ && !stopped()) Show(parser_->Finish(), out);
  if (!stopped()) ShowText(stop_strings_.Flush(), out);
}

ChoiceEnd ChoiceDecoder::End(bool length) const {
  if (stopped()) return {options_.index, EndReason::kStop, *stop_strings_.matched()};
  if (length) return {options_.index, EndReason::kLength};
  const bool called = parser_ && parser_->calls() > 0;
  return {options_.index, called ? EndReason::kToolCalls : EndReason::kStop};
}

// Character by character, each of which adds to the text or to a call: what comes out keeps its
// order, whatever one token spells.
void ChoiceDecoder::Show(std::string_view text, std::deque<Output>& out) {
  if (!parser_) return ShowText(stop_strings_.Push(text), out);
  for (size_t i = 0; i < text.size() && !stopped(); ++i) {
    Show(parser_->Push(text.substr(i, 1)), out);
  }
}

void ChoiceDecoder::Show(const ToolCallOutput& found, std::deque<Output>& out) {
  if (!found.text.empty() && !options_.calls_only) ShowText(stop_strings_.Push(found.text), out);
  if (found.calls.empty() || stopped()) return;
  ShowText(stop_strings_.Flush(), out);  // no stop string spans a call
  for (const ToolCallPiece& piece : found.calls) ShowCall(piece, out);
}

void ChoiceDecoder::ShowText(std::string_view text, std::deque<Output>& out) {
  if (text.empty()) return;
  Delta* last = out.empty() ? nullptr : std::get_if<Delta>(&out.back());
  if (last == nullptr || last->index != options_.index) {
    last = &std::get<Delta>(out.emplace_back(Delta{options_.index, "", {}}));
  }
  last->text += text;
}

void ChoiceDecoder::ShowCall(const ToolCallPiece& piece, std::deque<Output>& out) {
  auto* last = out.empty() ? nullptr : std::get_if<ToolCallDelta>(&out.back());
  if (last != nullptr && last->index == options_.index && last->call == piece.index) {
    last->arguments += piece.arguments;
    return;
  }
  ToolCallDelta delta{options_.index, piece.index, "", piece.name, piece.arguments};
  if (!piece.name.empty()) {
    delta.id = absl::StrCat(options_.call_id_prefix, options_.index, "_", piece.index);
  }
  out.push_back(std::move(delta));
}

}  // namespace hearth::server
