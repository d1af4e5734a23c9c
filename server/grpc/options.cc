#include "server/grpc/methods.h"

namespace hearth::server::rpc {
namespace {

void ReadSampling(const v1::Sampling& wire, GenerationRequest& request) {
  if (wire.has_temperature()) request.temperature = wire.temperature();
  if (wire.has_top_p()) request.top_p = wire.top_p();
  if (wire.has_top_k()) request.top_k = wire.top_k();
  if (wire.has_min_p()) request.min_p = wire.min_p();
  if (wire.has_repetition_penalty()) request.repetition_penalty = wire.repetition_penalty();
  if (wire.has_frequency_penalty()) request.frequency_penalty = wire.frequency_penalty();
  if (wire.has_presence_penalty()) request.presence_penalty = wire.presence_penalty();
  if (wire.has_seed()) request.seed = wire.seed();
  for (const auto& [token, bias] : wire.logit_bias()) request.logit_bias.push_back({token, bias});
}

}  // namespace

void ReadOptions(const v1::Options& wire, GenerationRequest& request) {
  ReadSampling(wire.sampling(), request);
  if (wire.has_max_tokens()) request.max_tokens = wire.max_tokens();
  if (wire.has_n()) request.n = wire.n();
  request.stop.assign(wire.stop().begin(), wire.stop().end());
}

}  // namespace hearth::server::rpc
