// Turns a GenerationRequest into requests to the engine: checks ranges, renders and tokenises
// prompts, compiles constraints. One set of words for both transports: errors carry the parameter
// (server/status.h).
#ifndef HEARTH_SERVER_PREPARE_H_
#define HEARTH_SERVER_PREPARE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/constraint_source.h"
#include "engine/request.h"
#include "server/daemon.h"
#include "server/generation_request.h"

namespace hearth::server {

struct PreparedGeneration {
  std::vector<Request> prompts;  // one each; choices of a prompt differ in Request::choice alone
  int32_t n = 1;                 // choices of each
  std::optional<ToolCallSyntax> tool_calls;  // set where the model may call tools
  bool logprobs = false;

  int32_t prompt_tokens() const;  // of all prompts
};

// What a request has that generates nothing: client, cache salt, priority and deadlines.
absl::StatusOr<Request> PromptPrototype(const Daemon& daemon, const GenerationRequest& wire);

// REQUIRES: the daemon is ready.
absl::StatusOr<PreparedGeneration> Prepare(const Daemon& daemon, const GenerationRequest& wire);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_PREPARE_H_
