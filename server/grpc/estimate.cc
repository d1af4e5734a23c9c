#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/prepare.h"
#include "server/status.h"

namespace hearth::server::rpc {
namespace {

absl::StatusOr<GenerationRequest> ReadRequest(const v1::EstimateRequest& wire) {
  switch (wire.request_case()) {
    case v1::EstimateRequest::kChat:
      return Chat(wire.chat());
    case v1::EstimateRequest::kGenerate:
      return Generate(wire.generate());
    case v1::EstimateRequest::REQUEST_NOT_SET:
      break;
  }
  return InvalidParam("request", "chat or generate must be set");
}

int64_t Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}

}  // namespace

absl::Status Estimate(Daemon& daemon, const Caller& caller, const v1::EstimateRequest& wire,
                      v1::EstimateResponse& response) {
  HEARTH_ASSIGN_OR_RETURN(GenerationRequest generation, ReadRequest(wire));
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(generation.model));
  generation.client = caller.client;
  HEARTH_ASSIGN_OR_RETURN(const PreparedGeneration prepared, Prepare(daemon, generation));
  const Request& request = prepared.prompts.front();
  HEARTH_ASSIGN_OR_RETURN(const hearth::Estimate estimate,
                          daemon.engine().EstimateFor(request, prepared.n));
  const auto prompt_tokens = static_cast<int32_t>(request.prompt.size());
  response.set_prompt_tokens(prompt_tokens);
  response.set_cached_tokens(estimate.cached_tokens);
  response.set_max_tokens(
      std::min(request.max_tokens, daemon.engine().info().max_context - prompt_tokens));
  response.set_queue_position(estimate.queue_position);
  response.set_first_token_ms(Milliseconds(estimate.first_token));
  response.set_total_ms(Milliseconds(estimate.total));
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
