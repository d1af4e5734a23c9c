// What prompts are computed for, as a client asks for it, as requests to the engine. Of a
// GenerationRequest they read the prompts, tools, model, names, cache key and what is from the
// transport. Errors carry the parameter. REQUIRES: the daemon is ready.
#ifndef HEARTH_SERVER_PROMPT_REQUESTS_H_
#define HEARTH_SERVER_PROMPT_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/request.h"
#include "server/daemon.h"
#include "server/generation_request.h"
#include "server/prompt_run.h"

namespace hearth::server {

// A conversation as Chat would make it, its tools checked. InvalidArgument where it has more than
// twice the context, for then some of it may be missing.
absl::StatusOr<std::vector<TokenId>> RenderConversation(const Daemon& daemon,
                                                        const GenerationRequest& chat);

// One request for each prompt, of which there are at most `most`: by default as many as vectors of
// 3,072 floats fit a gRPC client's 4 MiB message.
absl::StatusOr<PromptRequests> EmbeddingRequests(const Daemon& daemon,
                                                 const GenerationRequest& wire, Pooling pooling,
                                                 size_t most = 256);

struct Scoring {
  PromptRequests requests;  // one for each candidate, whose tokens are foretold
  int32_t prefix_tokens = 0;
};
absl::StatusOr<Scoring> ScoreRequests(const Daemon& daemon, const GenerationRequest& prefix,
                                      const std::vector<std::string>& candidates);

struct Pinning {
  PromptRequests requests;  // one
  int32_t tokens = 0;       // that it keeps
};
absl::StatusOr<Pinning> PinRequests(const Daemon& daemon, const GenerationRequest& prefix,
                                    const std::string& name);
// The engine's name of a client's pin. InvalidArgument for a name that none can have.
absl::StatusOr<std::string> PinName(const std::string& client, const std::string& name);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_PROMPT_REQUESTS_H_
