// The frame checker takes any bytes, and its verdict does not depend on how they are cut.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/check.h"
#include "server/grpc/frame_checker.h"

namespace {

using hearth::server::FrameChecker;

// Whether all of it passes, given in pieces of `piece` bytes.
bool Accepts(std::string_view bytes, size_t piece) {
  FrameChecker checker(4096, {});
  while (!bytes.empty()) {
    const std::string_view head = bytes.substr(0, piece);
    if (!checker.Check(head, {}).ok()) return false;
    bytes.remove_prefix(head.size());
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const bool whole = Accepts(bytes, size + 1);
  HEARTH_CHECK(Accepts(bytes, 1) == whole);
  HEARTH_CHECK(Accepts(bytes, 7) == whole);
  return 0;
}
