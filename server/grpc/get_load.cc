#include "server/grpc/methods.h"

namespace hearth::server::rpc {

absl::Status GetLoad(Daemon& daemon, const v1::GetLoadRequest&, v1::GetLoadResponse& response) {
  const EngineStats stats = daemon.engine().stats();
  const ModelInfo& info = daemon.engine().info();
  response.set_queued(stats.queued);
  response.set_running(stats.running);
  response.set_max_running(info.max_running);
  response.set_max_queued(info.max_queued);
  response.set_kv_blocks_total(stats.blocks_total);
  response.set_kv_blocks_used(stats.blocks_used);
  response.set_kv_blocks_cached(stats.blocks_cached);
  response.set_prompt_tokens(stats.prompt_tokens_computed);
  response.set_generated_tokens(stats.tokens_generated);
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
