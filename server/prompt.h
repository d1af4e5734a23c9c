// Prompts as a client gives them to token ids, and how they fit the context. Errors carry the
// parameter. REQUIRES: the daemon is ready.
#ifndef HEARTH_SERVER_PROMPT_H_
#define HEARTH_SERVER_PROMPT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/request.h"
#include "server/daemon.h"
#include "server/generation_request.h"

namespace hearth::server {

// A prompt of `wire`, however long. Where it has more than twice the context, some may be missing.
absl::StatusOr<std::vector<TokenId>> EncodePrompt(const Daemon& daemon,
                                                  const GenerationRequest& wire,
                                                  const PromptSpec& prompt);

struct FittedPrompt {
  std::vector<TokenId> tokens;
  int32_t max_tokens;
};

// With room for the output that is asked for. Asking for more than the context leaves is refused,
// or the prompt is cut (Overflow); the default ends with the context.
absl::StatusOr<FittedPrompt> FitPrompt(const Daemon& daemon, const GenerationRequest& wire,
                                       const PromptSpec& prompt);

// Whether the output opens with the space that SentencePiece writes at the start of a document and
// behind a marker, which is not of the text.
bool BeginsWithSpace(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_PROMPT_H_
