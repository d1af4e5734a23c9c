#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prompt_requests.h"

namespace hearth::server::rpc {
namespace {

void FillCandidate(const Tokenizer& tokenizer, const PromptResult& result,
                   v1::ScoreResponse::Candidate& candidate) {
  double sum = 0;
  for (const Token& token : result.foretold) {
    sum += token.logprob.logprob;
    v1::TokenLogprob& wire = *candidate.add_tokens();
    wire.set_token(token.id);
    wire.set_logprob(token.logprob.logprob);
    wire.set_text(std::string(tokenizer.Bytes(token.id)));
  }
  candidate.set_logprob(sum);
}

}  // namespace

absl::StatusOr<PromptJob> Score(const Daemon& daemon, const Caller& caller,
                                const v1::ScoreRequest& wire) {
  HEARTH_ASSIGN_OR_RETURN(GenerationRequest prefix, ReadPrefix(wire, caller));
  if (!wire.model().empty()) prefix.model = wire.model();
  HEARTH_ASSIGN_OR_RETURN(
      Scoring scoring,
      ScoreRequests(daemon, prefix, {wire.candidates().begin(), wire.candidates().end()}));
  const Tokenizer& tokenizer = daemon.engine().tokenizer();
  // Of the prefix, what the first candidate found; the others find what it computed.
  PromptAnswer answer = [&tokenizer, prefix_tokens = scoring.prefix_tokens](
                            const std::vector<PromptResult>& results) {
    auto response = std::make_unique<v1::ScoreResponse>();
    for (const PromptResult& result : results) {
      FillCandidate(tokenizer, result, *response->add_candidates());
    }
    response->set_prefix_tokens(prefix_tokens);
    response->set_cached_tokens(results.front().cached_tokens);
    return response;
  };
  return PromptJob{std::move(scoring.requests), std::move(answer)};
}

}  // namespace hearth::server::rpc
