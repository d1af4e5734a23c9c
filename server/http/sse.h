// Server-sent events (HTML, 9.2) to one client.
#ifndef HEARTH_SERVER_HTTP_SSE_H_
#define HEARTH_SERVER_HTTP_SSE_H_

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::server {

struct SseEvent {
  std::string name;  // empty: none
  std::string data;  // REQUIRES: neither holds a line break
};

class SseStream {
 public:
  // `write` sends bytes to the client at once; false when it is gone or has stalled. `keep_alive`
  // is how long a stream may be silent before a comment shows the client, and every proxy between,
  // that it lives.
  SseStream(std::function<bool(std::string_view)> write, std::chrono::milliseconds keep_alive)
      : write_(std::move(write)), keep_alive_(keep_alive) {}

  bool Send(const SseEvent& event);
  // A comment, which clients skip.
  bool KeepAlive();
  // KeepAlive, if the stream has been silent for so long.
  bool KeepAliveIfSilent();
  // Bytes as they are, of a body that has no events but comes in pieces.
  bool Write(std::string_view bytes);

 private:
  const std::function<bool(std::string_view)> write_;
  const std::chrono::milliseconds keep_alive_;
  std::chrono::steady_clock::time_point last_write_ = std::chrono::steady_clock::now();
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_SSE_H_
