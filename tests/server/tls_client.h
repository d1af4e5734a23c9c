// The client's side of TLS on a connected socket.
#ifndef HEARTH_TESTS_SERVER_TLS_CLIENT_H_
#define HEARTH_TESTS_SERVER_TLS_CLIENT_H_

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "server/tls.h"
#include "tests/server/certificates.h"

namespace hearth::server {

struct TlsClientOptions {
  std::string alpn = "";                     // as it travels; empty: names none
  const Certificate* trusted = nullptr;      // null: whoever answers
  const Certificate* certificate = nullptr;  // to show
  int most_version = TLS1_3_VERSION;
};

// Blocks. One thread at a time.
class TlsClient {
 public:
  // Shakes hands; the socket stays the caller's. REQUIRES: SIGPIPE is ignored.
  TlsClient(int fd, const TlsClientOptions& options);

  bool connected() const { return connected_; }
  std::string alpn() const;     // what was agreed on; empty: nothing
  std::string version() const;  // "TLSv1.3"

  bool Send(std::string_view bytes);
  // Some bytes, at most `size`; empty at the end and on errors. `ended`: by close_notify.
  std::string Receive(size_t size);
  std::string ReceiveExactly(size_t size);
  bool ended() const { return (SSL_get_shutdown(session_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  bool has_pending() const { return SSL_pending(session_.get()) > 0; }
  void SendEnd();    // close_notify
  void UpdateKey();  // a record without data; of TLS 1.3

 private:
  std::unique_ptr<SSL_CTX, SslDeleter> context_;
  TlsSession session_;
  bool connected_ = false;
};

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_TLS_CLIENT_H_
