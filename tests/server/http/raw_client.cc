#include "tests/server/http/raw_client.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/http/ascii.h"

namespace hearth::server {

std::string RawReply::error(const char* member) const {
  const Json parsed = json();
  if (!parsed.is_object() || !parsed.contains("error")) return "no error object";
  const Json& value = parsed["error"][member];
  return value.is_null() ? "" : value.get<std::string>();
}

RawClient::RawClient(const Listener& listener, bool plain) {
  if (listener.is_unix()) {
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, listener.name().c_str() + 5, sizeof(address.sun_path) - 1);
    connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    return;
  }
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(listener.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  if (!listener.is_tls() || plain) return;
  const timeval limit = {.tv_sec = 10, .tv_usec = 0};  // TLS reads whole records, and blocks
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  tls_.emplace(fd_, TlsClientOptions{.alpn = kAlpnHttp1});
}

RawClient::~RawClient() {
  if (fd_ >= 0) close(fd_);
}

bool RawClient::Send(std::string_view bytes) {
  if (tls_) return tls_->Send(bytes);
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void RawClient::HalfClose() {
  if (tls_) tls_->SendEnd();
  shutdown(fd_, SHUT_WR);
}

void RawClient::Reset() {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd_);
  fd_ = -1;
}

void RawClient::ReadSlowly() {
  const int small = 2048;
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
}

bool RawClient::More() {
  pollfd polled = {fd_, POLLIN, 0};
  const bool pending = tls_ && tls_->has_pending();
  const int timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(timeout_));
  if (!pending && poll(&polled, 1, timeout_ms) <= 0) return false;
  if (tls_) {
    const std::string bytes = tls_->Receive(16384);
    buffer_ += bytes;
    return !bytes.empty();
  }
  char bytes[16384];
  const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

std::string RawClient::Take(size_t size) {
  while (buffer_.size() < size && More()) {
  }
  std::string taken = buffer_.substr(0, size);
  buffer_.erase(0, taken.size());
  return taken;
}

std::string RawClient::ReceiveUntil(std::string_view end) {
  size_t at;
  while ((at = buffer_.find(end)) == std::string::npos) {
    if (!More()) return Take(buffer_.size());
  }
  return Take(at + end.size());
}

RawReply RawClient::ReceiveHead() {
  RawReply reply;
  const std::string head = ReceiveUntil("\r\n\r\n");
  if (head.size() < 12) return reply;
  reply.status = std::atoi(head.c_str() + 9);
  ForEachPart(head, '\n', [&reply](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    reply.headers[ToLower(line.substr(0, colon))] =
        Trim(line.substr(colon + 1, line.size() - colon - 2));
  });
  return reply;
}

RawReply RawClient::Receive(bool no_body) {
  RawReply reply = ReceiveHead();
  if (no_body || reply.status == 0) return reply;
  if (const auto length = reply.headers.find("content-length"); length != reply.headers.end()) {
    reply.body = Take(std::strtoul(length->second.c_str(), nullptr, 10));
    return reply;
  }
  if (reply.headers.count("transfer-encoding") == 0) {
    while (More()) {
    }
    reply.body = Take(buffer_.size());
    return reply;
  }
  while (true) {
    const std::string size_line = ReceiveUntil("\r\n");
    const size_t size = std::strtoul(size_line.c_str(), nullptr, 16);
    const std::string chunk = Take(size + 2);
    if (size == 0 || chunk.size() < size + 2) return reply;
    reply.body.append(chunk, 0, size);
  }
}

void RawClient::ReadByte() {
  char byte;
  recv(fd_, &byte, 1, MSG_DONTWAIT);
}

bool RawClient::Ends(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (absl::Now() < deadline) {
    pollfd polled = {fd_, POLLIN, 0};
    if (poll(&polled, 1, 20) <= 0) continue;
    char bytes[4096];
    if (recv(fd_, bytes, sizeof(bytes), 0) <= 0) return true;
  }
  return false;
}

std::string RequestText(std::string_view method, std::string_view path, std::string_view body,
                        std::string_view headers) {
  std::string text = absl::StrCat(std::string(method), " ", std::string(path),
                                  " HTTP/1.1\r\nHost: localhost\r\n", std::string(headers));
  if (method == "POST") {
    absl::StrAppend(&text, "Content-Type: application/json\r\nContent-Length: ", body.size(),
                    "\r\n");
  }
  return absl::StrCat(text, "\r\n", std::string(body));
}

std::vector<std::string> Events(std::string_view body) {
  std::vector<std::string> events;
  ForEachPart(body, '\n', [&events](std::string_view line) {
    if (line.starts_with("data: ")) events.emplace_back(line.substr(6));
  });
  return events;
}

}  // namespace hearth::server
