#include <string>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/tokenization.h"

namespace hearth::server::rpc {

absl::Status Tokenize(Daemon& daemon, const Caller&, const v1::TokenizeRequest& wire,
                      v1::TokenizeResponse& response) {
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model()));
  const Tokenizer& tokenizer = daemon.engine().tokenizer();
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                          TokenizeText(tokenizer, wire.text(), wire.add_special(), "text"));
  response.mutable_ids()->Add(ids.begin(), ids.end());
  if (!wire.with_pieces()) return absl::OkStatus();
  for (const TokenId id : ids) response.add_pieces(std::string(PieceOf(tokenizer, id)));
  return absl::OkStatus();
}

absl::Status Detokenize(Daemon& daemon, const Caller&, const v1::DetokenizeRequest& wire,
                        v1::DetokenizeResponse& response) {
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model()));
  HEARTH_ASSIGN_OR_RETURN(std::string text,
                          DetokenizeIds(daemon.engine().tokenizer(), wire.ids(), "ids"));
  response.set_text(std::move(text));
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
