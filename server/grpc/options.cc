#include <utility>

#include "engine/status_macros.h"
#include "server/grpc/methods.h"
#include "server/status.h"

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

absl::Status ReadConstraint(const v1::Constraint& wire, GenerationRequest& request) {
  const auto set = [&request](const char* where, ConstraintSource source) {
    request.constraint = TextConstraint{where, std::move(source)};
  };
  switch (wire.constraint_case()) {
    case v1::Constraint::kJsonSchema:
      set("constraint.json_schema", JsonSchemaSource{.schema = wire.json_schema()});
      break;
    case v1::Constraint::kJsonObject:
      if (!wire.json_object()) return InvalidParam("constraint.json_object", "must be true");
      set("constraint.json_object", JsonSchemaSource{});
      break;
    case v1::Constraint::kRegex:
      set("constraint.regex", RegexSource{wire.regex()});
      break;
    case v1::Constraint::kChoice:
      set("constraint.choice",
          ChoiceSource{{wire.choice().texts().begin(), wire.choice().texts().end()}});
      break;
    case v1::Constraint::CONSTRAINT_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status ReadPriority(v1::Priority wire, GenerationRequest& request) {
  switch (wire) {
    case v1::PRIORITY_NORMAL:
      request.priority = Priority::kNormal;
      return absl::OkStatus();
    case v1::PRIORITY_LOW:
      request.priority = Priority::kLow;
      return absl::OkStatus();
    case v1::PRIORITY_HIGH:
      request.priority = Priority::kHigh;
      return absl::OkStatus();
    default:  // a number we do not know
      return InvalidParam("priority", "must be PRIORITY_NORMAL, PRIORITY_LOW or PRIORITY_HIGH");
  }
}

absl::Status ReadOverflow(v1::Overflow wire, GenerationRequest& request) {
  switch (wire) {
    case v1::OVERFLOW_ERROR:
      request.overflow = Overflow::kError;
      return absl::OkStatus();
    case v1::OVERFLOW_DROP_OLDEST:
      request.overflow = Overflow::kDropOldest;
      return absl::OkStatus();
    default:  // a number we do not know
      return InvalidParam("overflow", "must be OVERFLOW_ERROR or OVERFLOW_DROP_OLDEST");
  }
}

}  // namespace

absl::Status ReadOptions(const v1::Options& wire, GenerationRequest& request) {
  ReadSampling(wire.sampling(), request);
  if (wire.has_max_tokens()) request.max_tokens = wire.max_tokens();
  if (wire.has_n()) request.n = wire.n();
  request.stop.assign(wire.stop().begin(), wire.stop().end());
  request.names.stop_tokens = "stop_tokens";
  request.stop_tokens.assign(wire.stop_tokens().begin(), wire.stop_tokens().end());
  if (wire.has_min_tokens()) request.min_tokens = wire.min_tokens();
  request.ignore_eos = wire.ignore_eos();
  if (wire.has_top_logprobs()) request.top_logprobs = wire.top_logprobs();
  request.cache_key = wire.cache_key();
  HEARTH_RETURN_IF_ERROR(ReadConstraint(wire.constraint(), request));
  HEARTH_RETURN_IF_ERROR(ReadPriority(wire.priority(), request));
  return ReadOverflow(wire.overflow(), request);
}

}  // namespace hearth::server::rpc
