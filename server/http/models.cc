// GET /v1/models and /v1/models/{id}: the one model served.
#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/json.h"

namespace hearth::server {
namespace {

// While the model loads it has no id yet; draining or not does not matter.
absl::Status CheckLoaded(const Daemon& daemon) {
  return daemon.loaded() ? absl::OkStatus() : daemon.Ready();
}

Json ModelJson(const Daemon& daemon) {
  return {{"id", daemon.model_id()},
          {"object", "model"},
          {"created", daemon.started_unix()},
          {"owned_by", "hearth"}};
}

}  // namespace

absl::StatusOr<HttpReply> ListModels(Daemon& daemon, HttpRequest&) {
  HEARTH_RETURN_IF_ERROR(CheckLoaded(daemon));
  Json list = {{"object", "list"}, {"data", Json::array()}};
  list["data"].push_back(ModelJson(daemon));
  HttpReply reply;
  reply.body = DumpJson(list);
  return reply;
}

absl::StatusOr<HttpReply> GetModel(Daemon& daemon, HttpRequest& request) {
  HEARTH_RETURN_IF_ERROR(CheckLoaded(daemon));
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(request.path_tail));
  HttpReply reply;
  reply.body = DumpJson(ModelJson(daemon));
  return reply;
}

}  // namespace hearth::server
