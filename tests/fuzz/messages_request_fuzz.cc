// The bodies of requests to /v1/messages, up to where they become a GenerationRequest.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/chat/phi_tools.h"
#include "engine/check.h"
#include "server/http/fields.h"
#include "server/http/json.h"
#include "server/http/messages_request.h"
#include "server/tool_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  using namespace hearth::server;
  const absl::StatusOr<Json> body =
      ParseJson(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!body.ok() || !body->is_object()) return 0;
  GenerationRequest request;
  const bool read =
      CheckFields(*body, Dialect::kMessages).ok() && ReadMessagesRequest(*body, request).ok();
  if (!read) return 0;
  const auto& messages = std::get<std::vector<Message>>(request.prompts.front());
  HEARTH_CHECK(!messages.empty());
  if (!CheckCalls(request, messages).ok() || !CheckTools(request).ok()) return 0;
  // What has been checked can be written.
  HEARTH_CHECK(PhiToolList(request.tools).ok());
  if (UsesTools(request)) HEARTH_CHECK(!CallsOf(request, {}).tools.empty());
  return 0;
}
