#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/status.h"

namespace hearth::server::rpc {
namespace {

// What gRPC clients take in one message unless told otherwise, less its framing. A request of a
// megabyte of ids could spell a hundred times as much.
constexpr size_t kMaxTextBytes = 4 * 1024 * 1024 - 64;

absl::Status CheckModel(const Daemon& daemon, const std::string& model) {
  return model.empty() ? absl::OkStatus() : daemon.CheckModel(model);
}

}  // namespace

absl::Status Tokenize(Daemon& daemon, const v1::TokenizeRequest& wire,
                      v1::TokenizeResponse& response) {
  HEARTH_RETURN_IF_ERROR(CheckModel(daemon, wire.model()));
  const Tokenizer& tokenizer = daemon.engine().tokenizer();
  if (wire.add_special() && tokenizer.add_bos() && tokenizer.bos()) {
    response.add_ids(*tokenizer.bos());
  }
  const std::vector<TokenId> ids = tokenizer.Encode(wire.text());
  response.mutable_ids()->Add(ids.begin(), ids.end());
  return absl::OkStatus();
}

absl::Status Detokenize(Daemon& daemon, const v1::DetokenizeRequest& wire,
                        v1::DetokenizeResponse& response) {
  HEARTH_RETURN_IF_ERROR(CheckModel(daemon, wire.model()));
  const Tokenizer& tokenizer = daemon.engine().tokenizer();
  StreamDecoder decoder(tokenizer, tokenizer.leading_space());  // undoes Tokenize
  std::string text;
  for (TokenId id : wire.ids()) {
    if (id < 0 || id >= tokenizer.vocab_size()) {
      return InvalidParam(
          "ids", absl::StrCat("token ids must be within [0, ", tokenizer.vocab_size(), ")"));
    }
    text += decoder.Push(id);
    if (text.size() > kMaxTextBytes) return InvalidParam("ids", "spell more than 4 MiB of text");
  }
  text += decoder.Flush();
  response.set_text(std::move(text));
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
