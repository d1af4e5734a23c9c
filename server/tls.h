// TLS of the daemon's listeners: its certificate and private key, and what clients must show.
#ifndef HEARTH_SERVER_TLS_H_
#define HEARTH_SERVER_TLS_H_

#include <openssl/ssl.h>

#include <memory>
#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hearth/v1/config.pb.h"

namespace hearth::server {

// Names of what is spoken inside TLS, as ALPN has them: the length first.
inline constexpr char kAlpnHttp1[] = "\x08http/1.1";
inline constexpr char kAlpnHttp2[] = "\x02h2";

struct SslDeleter {
  void operator()(SSL* session) const { SSL_free(session); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsSession = std::unique_ptr<SSL, SslDeleter>;

// TLS 1.2 and 1.3 with forward secrecy and authenticated encryption alone; no renegotiation, no
// compression, no resumption: each connection is judged by the files of its time. Safe from any
// thread.
class TlsCredentials {
 public:
  TlsCredentials() = default;
  // Empty without a certificate. InvalidArgument names the file that is wrong, and why; the private
  // key is a ReadSecretFile.
  static absl::StatusOr<TlsCredentials> Read(const v1::Tls& files);

  // Reads the files again, for connections from now on; on an error all stay as they are. Of no
  // effect on empty ones.
  absl::Status Reload();

  bool empty() const { return files_.certificate_file().empty(); }

  // The server's side of one connection, which speaks `alpn` with clients that name protocols; no
  // other is offered. Null without memory. REQUIRES: !empty(); `alpn` lives on.
  TlsSession NewSession(const char* alpn) const;

 private:
  using Context = std::unique_ptr<SSL_CTX, SslDeleter>;
  struct Shared {
    std::mutex mutex;
    Context context;  // guarded by the mutex
  };

  static absl::StatusOr<Context> MakeContext(const v1::Tls& files);

  v1::Tls files_;
  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_TLS_H_
