#include <string>

#include "server/grpc/methods.h"

namespace hearth::server::rpc {

absl::Status GetModel(Daemon& daemon, const Caller&, const v1::GetModelRequest&,
                      v1::GetModelResponse& response) {
  const ModelInfo& info = daemon.engine().info();
  response.set_id(daemon.model_id());
  response.set_architecture(info.architecture);
  response.set_parameters(info.parameters);
  response.set_weight_type(info.weight_type);
  response.set_vocab_size(info.vocab_size);
  response.set_max_context(info.max_context);
  response.set_default_max_tokens(info.default_max_tokens);
  if (daemon.chat_format() != nullptr) {
    response.set_chat_format(std::string(daemon.chat_format()->name()));
  }
  response.set_kv_type(info.kv_type);
  response.set_weight_bytes(info.memory.weights);
  response.set_kv_bytes(info.memory.kv);
  response.set_isa(info.isa);
  response.set_threads(info.threads);
  response.set_system_fingerprint(daemon.system_fingerprint());
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
