#include <memory>
#include <utility>
#include <vector>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prompt_requests.h"
#include "server/status.h"

namespace hearth::server::rpc {
namespace {

absl::StatusOr<Pooling> ReadPooling(v1::EmbedRequest::Pooling wire) {
  switch (wire) {
    case v1::EmbedRequest::MEAN:
      return Pooling::kMean;
    case v1::EmbedRequest::LAST:
      return Pooling::kLast;
    default:  // a number we do not know
      return InvalidParam("pooling", "must be MEAN or LAST");
  }
}

absl::StatusOr<PromptSpec> ReadInput(const v1::EmbedRequest::Input& input) {
  switch (input.input_case()) {
    case v1::EmbedRequest::Input::kText:
      return input.text();
    case v1::EmbedRequest::Input::kTokens:
      return std::vector<int64_t>(input.tokens().ids().begin(), input.tokens().ids().end());
    case v1::EmbedRequest::Input::INPUT_NOT_SET:
      return InvalidParam("inputs", "each must have text or tokens");
  }
  return InvalidParam("inputs", "each must have text or tokens");
}

std::unique_ptr<google::protobuf::Message> Answer(const std::vector<PromptResult>& results) {
  auto response = std::make_unique<v1::EmbedResponse>();
  int32_t tokens = 0;
  for (const PromptResult& result : results) {
    response->add_embeddings()->mutable_values()->Add(result.embedding.begin(),
                                                      result.embedding.end());
    tokens += result.prompt_tokens;
  }
  response->set_prompt_tokens(tokens);
  return response;
}

}  // namespace

absl::StatusOr<PromptJob> Embed(const Daemon& daemon, const Caller& caller,
                                const v1::EmbedRequest& wire) {
  HEARTH_ASSIGN_OR_RETURN(const Pooling pooling, ReadPooling(wire.pooling()));
  GenerationRequest request;
  request.model = wire.model();
  request.names.prompt = "inputs";
  request.client = caller.client;
  request.timeout = caller.timeout;
  for (const v1::EmbedRequest::Input& input : wire.inputs()) {
    HEARTH_ASSIGN_OR_RETURN(PromptSpec prompt, ReadInput(input));
    request.prompts.push_back(std::move(prompt));
  }
  HEARTH_ASSIGN_OR_RETURN(PromptRequests requests, EmbeddingRequests(daemon, request, pooling));
  return PromptJob{std::move(requests), Answer};
}

}  // namespace hearth::server::rpc
