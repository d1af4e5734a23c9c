// Messages to and from the bytes of a gRPC message. Methods take bytes, so that nothing is parsed
// for a caller who is not admitted, and what does not parse gets a status that says so (generated
// services answer it with UNIMPLEMENTED).
#ifndef HEARTH_SERVER_GRPC_CODEC_H_
#define HEARTH_SERVER_GRPC_CODEC_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace hearth::server {

// InvalidArgument for bytes that are not such a message, or hold text that is not UTF-8.
absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

grpc::ByteBuffer Serialize(const google::protobuf::Message& message);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_CODEC_H_
