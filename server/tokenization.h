// Text to token ids and back, as both transports serve it.
#ifndef HEARTH_SERVER_TOKENIZATION_H_
#define HEARTH_SERVER_TOKENIZATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth::server {

// The ids of plain text; with `add_special` as a prompt, behind BOS where the model wants one or
// the text is empty. Where there are more than `enough`, some may be missing.
std::vector<TokenId> EncodeText(const Tokenizer& tokenizer, std::string_view text, bool add_special,
                                size_t enough = Tokenizer::kAll);

// The same. InvalidArgument names `param` for more than 131,072: beyond any context that is served.
absl::StatusOr<std::vector<TokenId>> TokenizeText(const Tokenizer& tokenizer, std::string_view text,
                                                  bool add_special, std::string_view param);

// What a token spells, markers too; not always whole UTF-8.
std::string_view PieceOf(const Tokenizer& tokenizer, TokenId id);

// InvalidArgument names `param` when the vocabulary has no such token.
absl::Status CheckTokenId(const Tokenizer& tokenizer, int64_t id, std::string_view param);

// The text that EncodeText made these of; ill-formed UTF-8 appears as U+FFFD, markers as nothing.
// InvalidArgument names `param`, for ids outside the vocabulary and for those that spell more than
// 4 MiB, which is what gRPC clients take in one message. (A megabyte of ids could spell a hundred.)
absl::StatusOr<std::string> DetokenizeIds(const Tokenizer& tokenizer, absl::Span<const TokenId> ids,
                                          std::string_view param);

// A prompt for people: text as it reads, markers as they are spelt.
std::string SpellPrompt(const Tokenizer& tokenizer, absl::Span<const TokenId> prompt);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_TOKENIZATION_H_
