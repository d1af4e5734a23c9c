// Configuration text: any bytes are a Config or an error with a place, and an accepted Config
// survives its defaults and checks.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/check.h"
#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hearth::server::ParseConfig;
  const auto config =
      ParseConfig(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (config.ok()) {
    hearth::server::ValidateConfig(hearth::server::ResolveDefaults(*config)).IgnoreError();
  } else {
    HEARTH_CHECK(config.status().message().substr(0, 5) == "fuzz:");
  }
  return 0;
}
