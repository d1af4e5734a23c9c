// GET /metrics, for Prometheus.
#include "engine/engine.h"
#include "server/http/endpoint.h"

namespace hearth::server {

absl::StatusOr<HttpReply> ServeMetrics(Daemon& daemon, HttpRequest&) {
  HttpReply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  if (daemon.loaded()) {
    const EngineStats stats = daemon.engine().stats();
    reply.body = daemon.metrics().Render(&stats, &daemon.engine().info());
  } else {
    reply.body = daemon.metrics().Render(nullptr, nullptr);
  }
  return reply;
}

}  // namespace hearth::server
