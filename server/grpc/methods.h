// What each method of hearth.v1 does, one file per method and free of gRPC: wire messages in, wire
// messages or requests out. The service runs them behind the gate.
#ifndef HEARTH_SERVER_GRPC_METHODS_H_
#define HEARTH_SERVER_GRPC_METHODS_H_

#include <google/protobuf/message.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hearth/v1/inference.pb.h"
#include "server/daemon.h"
#include "server/prompt_run.h"
#include "server/session.h"

namespace hearth::server::rpc {

struct Caller {
  std::string client;
  std::optional<absl::Duration> timeout;  // its own deadline, from now
};

// Streams: what to generate. Kinds are checked here, ranges by Session::Start.
absl::StatusOr<GenerationRequest> Chat(const v1::ChatRequest& wire);
absl::StatusOr<GenerationRequest> Generate(const v1::GenerateRequest& wire);
// What the two share.
absl::Status ReadOptions(const v1::Options& wire, GenerationRequest& request);

// Calls that are answered when prompts are computed: which, and what becomes of them.
using PromptAnswer =
    std::function<std::unique_ptr<google::protobuf::Message>(std::vector<PromptResult> results)>;
struct PromptJob {
  PromptRequests requests;
  PromptAnswer answer;
};
// REQUIRES: the daemon is ready.
absl::StatusOr<PromptJob> Embed(const Daemon& daemon, const Caller& caller,
                                const v1::EmbedRequest& wire);
absl::StatusOr<PromptJob> Score(const Daemon& daemon, const Caller& caller,
                                const v1::ScoreRequest& wire);
absl::StatusOr<PromptJob> PinPrefix(const Daemon& daemon, const Caller& caller,
                                    const v1::PinPrefixRequest& wire);
// The prefix of ScoreRequest and PinPrefixRequest.
template <typename Wire>
absl::StatusOr<GenerationRequest> ReadPrefix(const Wire& wire, const Caller& caller);

// Unary. REQUIRES: the daemon is ready.
absl::Status Tokenize(Daemon& daemon, const Caller& caller, const v1::TokenizeRequest& wire,
                      v1::TokenizeResponse& response);
absl::Status Detokenize(Daemon& daemon, const Caller& caller, const v1::DetokenizeRequest& wire,
                        v1::DetokenizeResponse& response);
absl::Status RenderChat(Daemon& daemon, const Caller& caller, const v1::RenderChatRequest& wire,
                        v1::RenderChatResponse& response);
absl::Status Estimate(Daemon& daemon, const Caller& caller, const v1::EstimateRequest& wire,
                      v1::EstimateResponse& response);

// Likewise, while it drains too.
absl::Status Cancel(Daemon& daemon, const Caller& caller, const v1::CancelRequest& wire,
                    v1::CancelResponse& response);
absl::Status GetModel(Daemon& daemon, const Caller& caller, const v1::GetModelRequest& wire,
                      v1::GetModelResponse& response);
absl::Status GetLoad(Daemon& daemon, const Caller& caller, const v1::GetLoadRequest& wire,
                     v1::GetLoadResponse& response);
absl::Status Drain(Daemon& daemon, const Caller& caller, const v1::DrainRequest& wire,
                   v1::DrainResponse& response);
absl::Status FlushCache(Daemon& daemon, const Caller& caller, const v1::FlushCacheRequest& wire,
                        v1::FlushCacheResponse& response);
absl::Status UnpinPrefix(Daemon& daemon, const Caller& caller, const v1::UnpinPrefixRequest& wire,
                         v1::UnpinPrefixResponse& response);

// How often WatchLoad tells the load, and what it tells.
absl::StatusOr<std::chrono::milliseconds> WatchLoad(const v1::WatchLoadRequest& wire);
void FillLoad(const Daemon& daemon, v1::GetLoadResponse& load);

}  // namespace hearth::server::rpc

#endif  // HEARTH_SERVER_GRPC_METHODS_H_
