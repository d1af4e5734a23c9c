#include "server/byte_stream.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hearth::server {
namespace {

using Result = ByteStream::Result;

Result ResultOfErrno() {
  return errno == EAGAIN || errno == EINTR ? Result::kWait : Result::kFailed;
}

}  // namespace

ByteStream::ByteStream(const Connection& connection, const TlsCredentials& tls, const char* alpn)
    : fd_(connection.fd) {
  if (!connection.listener->is_tls()) return;
  tls_ = tls.NewSession(alpn);
  // OpenSSL waits on descriptors that block.
  failed_ = tls_ == nullptr || SSL_set_fd(tls_.get(), fd_) != 1 ||
            fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK) != 0;
}

ByteStream::~ByteStream() {
  EndWriting();
  close(fd_);
}

// What the last call on tls_ has come to.
Result ByteStream::Judge(int outcome, short& event) {
  if (outcome > 0) return Result::kMoved;
  switch (SSL_get_error(tls_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      event = POLLIN;
      return Result::kWait;
    case SSL_ERROR_WANT_WRITE:
      event = POLLOUT;
      return Result::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Result::kEnd;
    default:
      failed_ = true;
      return Result::kFailed;
  }
}

Result ByteStream::Read(char* data, size_t size, size_t& got) {
  got = 0;
  if (failed_) return Result::kFailed;
  if (tls_ != nullptr) {
    ERR_clear_error();  // SSL_get_error looks at what the thread has left there
    return Judge(SSL_read_ex(tls_.get(), data, size, &got), read_event_);
  }
  const ssize_t n = recv(fd_, data, size, MSG_DONTWAIT);
  if (n < 0) return ResultOfErrno();
  got = static_cast<size_t>(n);
  return n == 0 ? Result::kEnd : Result::kMoved;
}

Result ByteStream::Write(std::string_view bytes, size_t& sent) {
  sent = 0;
  if (failed_) return Result::kFailed;
  if (tls_ != nullptr) {
    ERR_clear_error();
    return Judge(SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sent), write_event_);
  }
  const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) return ResultOfErrno();
  sent = static_cast<size_t>(n);
  return Result::kMoved;
}

Result ByteStream::Handshake() {
  if (failed_) return Result::kFailed;
  if (tls_ == nullptr) return Result::kMoved;
  ERR_clear_error();
  return Judge(SSL_do_handshake(tls_.get()), read_event_);
}

Result ByteStream::EndWriting() {
  // TLS has an end of its own (close_notify), which tells it from a cable that was cut.
  if (tls_ != nullptr && !failed_) {
    ERR_clear_error();
    const int outcome = SSL_shutdown(tls_.get());
    if (outcome < 0 && Judge(outcome, write_event_) == Result::kWait) return Result::kWait;
  }
  return shutdown(fd_, SHUT_WR) == 0 ? Result::kMoved : Result::kFailed;
}

}  // namespace hearth::server
