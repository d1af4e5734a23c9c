#include "server/tokenization.h"

#include <cstddef>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr size_t kMaxTokens = 131'072;
// Less the framing of a gRPC message.
constexpr size_t kMaxTextBytes = 4 * 1024 * 1024 - 64;

}  // namespace

std::vector<TokenId> EncodeText(const Tokenizer& tokenizer, std::string_view text, bool add_special,
                                size_t enough) {
  std::vector<TokenId> ids = tokenizer.Encode(text, enough);
  if (add_special && tokenizer.bos() && (tokenizer.add_bos() || text.empty())) {
    ids.insert(ids.begin(), *tokenizer.bos());
  }
  return ids;
}

std::string_view PieceOf(const Tokenizer& tokenizer, TokenId id) {
  return tokenizer.IsMarker(id) ? tokenizer.Spelling(id) : tokenizer.Bytes(id);
}

absl::StatusOr<std::vector<TokenId>> TokenizeText(const Tokenizer& tokenizer, std::string_view text,
                                                  bool add_special, std::string_view param) {
  std::vector<TokenId> ids = EncodeText(tokenizer, text, add_special, kMaxTokens);
  if (ids.size() <= kMaxTokens) return ids;
  return InvalidParam(param, absl::StrCat("is more than ", kMaxTokens, " tokens"));
}

absl::Status CheckTokenId(const Tokenizer& tokenizer, int64_t id, std::string_view param) {
  if (id >= 0 && id < tokenizer.vocab_size()) return absl::OkStatus();
  return InvalidParam(param,
                      absl::StrCat("token ids must be within [0, ", tokenizer.vocab_size(), ")"));
}

absl::StatusOr<std::string> DetokenizeIds(const Tokenizer& tokenizer, absl::Span<const TokenId> ids,
                                          std::string_view param) {
  StreamDecoder decoder(tokenizer, tokenizer.leading_space());
  std::string text;
  for (TokenId id : ids) {
    HEARTH_RETURN_IF_ERROR(CheckTokenId(tokenizer, id, param));
    text += decoder.Push(id);
    if (text.size() > kMaxTextBytes) return InvalidParam(param, "spell more than 4 MiB of text");
  }
  text += decoder.Flush();
  return text;
}

std::string SpellPrompt(const Tokenizer& tokenizer, absl::Span<const TokenId> prompt) {
  std::string text;
  std::optional<StreamDecoder> decoder;  // of the text since the last marker
  for (TokenId id : prompt) {
    if (tokenizer.IsMarker(id)) {
      if (decoder) text += decoder->Flush();
      decoder.reset();
      text += tokenizer.Spelling(id);
    } else {
      if (!decoder) decoder.emplace(tokenizer, tokenizer.leading_space());
      text += decoder->Push(id);
    }
  }
  if (decoder) text += decoder->Flush();
  return text;
}

}  // namespace hearth::server
