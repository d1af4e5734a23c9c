// The bytes of a connected socket, as they are or inside TLS.
#ifndef HEARTH_SERVER_BYTE_STREAM_H_
#define HEARTH_SERVER_BYTE_STREAM_H_

#include <poll.h>

#include <cstddef>
#include <string_view>

#include "server/accept_loop.h"
#include "server/tls.h"

namespace hearth::server {

// Never waits; says what to poll for. The handshake of TLS is part of the first reads and writes.
// One thread at a time. REQUIRES: SIGPIPE is ignored (Signals).
class ByteStream {
 public:
  // kWait: nothing could be moved. kEnd: the other side sends no more. After kFailed all fails.
  enum class Result { kMoved, kWait, kEnd, kFailed };

  // Plain. Takes the descriptor over, as below.
  explicit ByteStream(int fd) : fd_(fd) {}
  // What the connection's listener says. REQUIRES: `tls` is not empty when that is TLS.
  ByteStream(const Connection& connection, const TlsCredentials& tls, const char* alpn);
  ~ByteStream();  // EndWriting as far as it goes, and closes
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  Result Read(char* data, size_t size, size_t& got);
  Result Write(std::string_view bytes, size_t& sent);
  // kMoved: there is nothing to do, or no more.
  Result Handshake();

  int fd() const { return fd_; }
  // Whether the handshake, if there is any, is done.
  bool established() const { return tls_ == nullptr || SSL_is_init_finished(tls_.get()) == 1; }
  // What to poll for after a kWait of Read or Handshake, and of Write or EndWriting. (TLS may have
  // to write before it can read, and the other way round.)
  short read_event() const { return read_event_; }
  short write_event() const { return write_event_; }

  // Ends our side; the other may go on. Until it is kMoved, or fails, that has not been told.
  Result EndWriting();

 private:
  Result Judge(int outcome, short& event);

  const int fd_;
  TlsSession tls_;       // null: plain
  bool failed_ = false;  // of TLS
  short read_event_ = POLLIN;
  short write_event_ = POLLOUT;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_BYTE_STREAM_H_
