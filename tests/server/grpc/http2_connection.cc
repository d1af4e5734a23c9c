#include "tests/server/grpc/http2_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;

// An integer with a prefix of seven bits, all its high bit zero.
std::string EncodeLength(size_t length) {
  if (length < 127) return std::string(1, static_cast<char>(length));
  std::string out(1, '\x7f');
  for (length -= 127; length >= 128; length >>= 7) out += static_cast<char>(0x80 | (length & 0x7f));
  return out += static_cast<char>(length);
}

uint32_t ReadBigEndian(const std::string& bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

}  // namespace

std::string BigEndian32(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

std::string EncodeFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = BigEndian32(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += BigEndian32(stream);
  return out.append(payload);
}

std::string EncodeFields(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&out, "\x10", EncodeLength(name.size()), name, EncodeLength(value.size()),
                    value);
  }
  return out;
}

Fields CallFields(const std::string& path) {
  return {{":method", "POST"},    {":scheme", "http"}, {":path", path},
          {":authority", "test"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

std::string EncodeMessage(const std::string& message) {
  std::string out(1, '\0');  // not compressed
  absl::StrAppend(&out, BigEndian32(static_cast<uint32_t>(message.size())), message);
  return out;
}

Http2Connection::Http2Connection(int port, int receive_buffer) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

Http2Connection::~Http2Connection() { close(fd_); }

void Http2Connection::Greet(const std::vector<std::pair<SettingId, uint32_t>>& settings,
                            bool acknowledge) {
  std::string payload;
  for (const auto& [id, value] : settings) {
    payload += static_cast<char>(id >> 8);
    payload += static_cast<char>(id);
    payload += BigEndian32(value);
  }
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  SendFrame(kSettings, kNoFlag, 0, payload);
  if (ReadUntil(kSettings, std::chrono::seconds(5)) && acknowledge) {
    SendFrame(kSettings, kAck, 0, "");
  }
}

bool Http2Connection::Send(std::string_view bytes) {
  while (!bytes.empty() && !closed_) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      closed_ = true;
    } else {
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  return !closed_;
}

bool Http2Connection::SendFrame(uint8_t type, uint8_t flags, uint32_t stream,
                                std::string_view payload) {
  return Send(EncodeFrame(type, flags, stream, payload));
}

bool Http2Connection::SendCall(uint32_t stream, const std::string& path,
                               const std::string& message) {
  return Send(EncodeFrame(kHeaders, kEndHeaders, stream, EncodeFields(CallFields(path))) +
              EncodeFrame(kData, kEndStream, stream, EncodeMessage(message)));
}

bool Http2Connection::Receive(Clock::time_point deadline) {
  if (closed_) return false;
  const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Clock::now()).count();
  pollfd poll_fd{fd_, POLLIN, 0};
  if (poll(&poll_fd, 1, static_cast<int>(std::max<int64_t>(left, 0))) <= 0) return false;
  char buffer[16 * 1024];
  const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
  if (n <= 0) {
    closed_ = true;
    return false;
  }
  in_.append(buffer, static_cast<size_t>(n));
  return true;
}

std::optional<Frame> Http2Connection::Read(Milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  constexpr size_t kHeader = 9;
  while (in_.size() < kHeader || in_.size() < kHeader + ReadBigEndian(in_, 0, 3)) {
    if (!Receive(deadline)) return std::nullopt;
  }
  const size_t size = ReadBigEndian(in_, 0, 3);
  Frame frame{static_cast<uint8_t>(in_[3]), static_cast<uint8_t>(in_[4]),
              ReadBigEndian(in_, 5, 4) & 0x7fffffff, in_.substr(kHeader, size)};
  in_.erase(0, kHeader + size);
  return frame;
}

std::optional<Frame> Http2Connection::ReadUntil(uint8_t type, Milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  while (Clock::now() < deadline) {
    std::optional<Frame> frame =
        Read(std::chrono::duration_cast<Milliseconds>(deadline - Clock::now()));
    if (!frame || frame->type == type) return frame;
  }
  return std::nullopt;
}

void Http2Connection::Shutdown() { shutdown(fd_, SHUT_RDWR); }

bool Http2Connection::AwaitClose(Milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  while (!closed_ && Clock::now() < deadline) {
    Receive(deadline);
    in_.clear();
  }
  return closed_;
}

}  // namespace hearth::server
