#include "server/http/sse.h"

#include <string>

namespace hearth::server {

bool SseStream::Write(std::string_view bytes) {
  last_write_ = std::chrono::steady_clock::now();
  return write_(bytes);
}

bool SseStream::Send(const SseEvent& event) {
  std::string lines;
  if (!event.name.empty()) lines.append("event: ").append(event.name).append("\n");
  lines.append("data: ").append(event.data).append("\n\n");
  return Write(lines);
}

bool SseStream::KeepAlive() { return Write(": keep-alive\n\n"); }

bool SseStream::KeepAliveIfSilent() {
  if (std::chrono::steady_clock::now() - last_write_ < keep_alive_) return true;
  return KeepAlive();
}

}  // namespace hearth::server
