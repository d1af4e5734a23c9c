#include "server/grpc/codec.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace hearth::server {

using Traits = grpc::SerializationTraits<google::protobuf::Message>;

absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  grpc::ByteBuffer shared = bytes;
  if (Traits::Deserialize(&shared, &message).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the request is not a ", message.GetTypeName(),
                                                 ", or holds text that is not UTF-8"));
}

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  HEARTH_CHECK(Traits::Serialize(message, &bytes, &own).ok());  // fails only beyond 2 GB
  return bytes;
}

}  // namespace hearth::server
