// Files of tools: any bytes are tools or an InvalidArgument.
#include <cstddef>
#include <cstdint>
#include <string>

#include "clients/cli/tools.h"
#include "engine/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  const auto tools = hearth::cli::ParseTools(json);
  HEARTH_CHECK(tools.ok() || absl::IsInvalidArgument(tools.status()));
  if (tools.ok()) {
    for (const hearth::v1::Tool& tool : *tools) HEARTH_CHECK(!tool.name().empty());
  }
  return 0;
}
