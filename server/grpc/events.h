// Outputs of a session as messages of hearth.v1.
#ifndef HEARTH_SERVER_GRPC_EVENTS_H_
#define HEARTH_SERVER_GRPC_EVENTS_H_

#include "engine/tokenizer/tokenizer.h"
#include "hearth/v1/inference.pb.h"
#include "server/output.h"

namespace hearth::server {

// `logprobs`: whether the request asks for them.
v1::GenerateEvent ToEvent(const Output& output, const Tokenizer& tokenizer, bool logprobs);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_EVENTS_H_
