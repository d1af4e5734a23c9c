// Log-probabilities as OpenAI writes them, as JSON text: their values would take many times that.
#ifndef HEARTH_SERVER_HTTP_LOGPROBS_H_
#define HEARTH_SERVER_HTTP_LOGPROBS_H_

#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "server/output.h"

namespace hearth::server {

// Of responses: [{"token", "logprob", "bytes", "top_logprobs"}, ...]. Markers stand as they are
// spelt, with no bytes: [] here, null in chat, as the two APIs type them. REQUIRES: the tokens have
// log-probabilities.
std::string TokenLogprobList(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens);

// Of chat: {"content": such a list, "refusal": null}.
std::string ChatLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens);

// Of completions: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; what is not whole
// UTF-8 stands as "bytes:\xe2\x82".
std::string CompletionLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_LOGPROBS_H_
