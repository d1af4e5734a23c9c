// HTTP/2 written by hand, for what no gRPC client would send (RFC 9113, RFC 7541).
#ifndef HEARTH_TESTS_SERVER_GRPC_HTTP2_CONNECTION_H_
#define HEARTH_TESTS_SERVER_GRPC_HTTP2_CONNECTION_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::server {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
enum FrameFlag : uint8_t { kNoFlag = 0, kEndStream = 1, kAck = 1, kEndHeaders = 4 };
enum SettingId : uint16_t { kInitialWindowSize = 4 };
constexpr uint32_t kEnhanceYourCalm = 0xb;

struct Frame {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
};

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string BigEndian32(uint32_t value);
std::string EncodeFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
// Literal fields, never indexed, no Huffman code.
std::string EncodeFields(const Fields& fields);
Fields CallFields(const std::string& path);
// A message with gRPC's five bytes before it.
std::string EncodeMessage(const std::string& message);

class Http2Connection {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // Connects to 127.0.0.1. A small receive buffer makes a stalled reader soon felt.
  explicit Http2Connection(int port, int receive_buffer = 0);
  ~Http2Connection();
  Http2Connection(const Http2Connection&) = delete;

  // The connection preface with these settings; then acknowledges the server's own, without which
  // gRPC 1.51 does not hold a client to them.
  void Greet(const std::vector<std::pair<SettingId, uint32_t>>& settings = {},
             bool acknowledge = true);
  // False once the server closed the connection.
  bool Send(std::string_view bytes);
  bool SendFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  // A whole unary or server-streaming call's client side.
  bool SendCall(uint32_t stream, const std::string& path, const std::string& message);

  // The next frame; nullopt when none comes within `timeout` or the connection ends.
  std::optional<Frame> Read(Milliseconds timeout);
  // The next frame of this type, others skipped.
  std::optional<Frame> ReadUntil(uint8_t type, Milliseconds timeout);
  // Closes both sides; a Read or AwaitClose of another thread ends.
  void Shutdown();
  // True when the server closes within `timeout`; what it sends is read and dropped.
  bool AwaitClose(Milliseconds timeout);

 private:
  bool Receive(std::chrono::steady_clock::time_point deadline);

  int fd_ = -1;
  std::atomic<bool> closed_{false};
  std::string in_;
};

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_GRPC_HTTP2_CONNECTION_H_
