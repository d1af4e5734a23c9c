// JSON text: any bytes are a document or an InvalidArgument; a document survives a round trip.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/check.h"
#include "server/http/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth::server;
  const JsonLimits limits{.max_depth = 8, .max_keys = 16, .max_containers = 64};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Json> json = ParseJson(text, limits);
  if (!json.ok()) {
    HEARTH_CHECK(absl::IsInvalidArgument(json.status()));
    return 0;
  }
  // Text that was accepted is UTF-8: this dump would throw otherwise.
  const absl::StatusOr<Json> again = ParseJson(json->dump(), limits);
  HEARTH_CHECK(again.ok() && *again == *json);
  if (json->is_object()) {
    for (const auto& [name, value] : json->items()) {
      GetInteger(*json, name).IgnoreError();
      GetNumber(*json, name).IgnoreError();
      GetBool(*json, name).IgnoreError();
      GetString(*json, name).IgnoreError();
    }
  }
  return 0;
}
