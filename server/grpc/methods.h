// What each method of hearth.v1 does, one file per method and free of gRPC: wire messages in, wire
// messages or a GenerationRequest out. The service runs them behind the gate.
#ifndef HEARTH_SERVER_GRPC_METHODS_H_
#define HEARTH_SERVER_GRPC_METHODS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hearth/v1/inference.pb.h"
#include "server/daemon.h"
#include "server/session.h"

namespace hearth::server::rpc {

// Streams: what to generate. Kinds are checked here, ranges by Session::Start.
absl::StatusOr<GenerationRequest> Chat(const v1::ChatRequest& wire);
absl::StatusOr<GenerationRequest> Generate(const v1::GenerateRequest& wire);
// What the two share.
void ReadOptions(const v1::Options& wire, GenerationRequest& request);

// Unary. REQUIRES: the daemon is ready.
absl::Status Tokenize(Daemon& daemon, const v1::TokenizeRequest& wire,
                      v1::TokenizeResponse& response);
absl::Status Detokenize(Daemon& daemon, const v1::DetokenizeRequest& wire,
                        v1::DetokenizeResponse& response);
absl::Status GetModel(Daemon& daemon, const v1::GetModelRequest& wire,
                      v1::GetModelResponse& response);
absl::Status GetLoad(Daemon& daemon, const v1::GetLoadRequest& wire, v1::GetLoadResponse& response);

}  // namespace hearth::server::rpc

#endif  // HEARTH_SERVER_GRPC_METHODS_H_
