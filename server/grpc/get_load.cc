#include "server/grpc/methods.h"

namespace hearth::server::rpc {

void FillLoad(const Daemon& daemon, v1::GetLoadResponse& load) {
  const EngineStats stats = daemon.engine().stats();
  const ModelInfo& info = daemon.engine().info();
  load.set_queued(stats.queued);
  load.set_running(stats.running);
  load.set_max_running(info.max_running);
  load.set_max_queued(info.max_queued);
  load.set_kv_blocks_total(stats.blocks_total);
  load.set_kv_blocks_used(stats.blocks_used);
  load.set_kv_blocks_cached(stats.blocks_cached);
  load.set_kv_blocks_pinned(stats.blocks_pinned);
  load.set_prompt_tokens(stats.prompt_tokens_computed);
  load.set_prompt_tokens_cached(stats.prompt_tokens_cached);
  load.set_generated_tokens(stats.tokens_generated);
  load.set_draining(daemon.draining());
}

absl::Status GetLoad(Daemon& daemon, const Caller&, const v1::GetLoadRequest&,
                     v1::GetLoadResponse& response) {
  FillLoad(daemon, response);
  return absl::OkStatus();
}

}  // namespace hearth::server::rpc
