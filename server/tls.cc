#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "server/log.h"
#include "server/small_file.h"

namespace hearth::server {
namespace {

struct Deleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Certificate = std::unique_ptr<X509, Deleter>;
using Bio = std::unique_ptr<BIO, Deleter>;

// TLS 1.2; what TLS 1.3 has is all of this kind.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

absl::Status Wrong(const std::string& path, absl::string_view what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what, reason == nullptr ? "" : ": ",
                                                 reason == nullptr ? "" : reason));
}

Bio ReaderOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL would ask for it on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

// All certificates of a PEM file, one at least.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const std::string pem, ReadSmallFile(path));
  const Bio bio = ReaderOf(pem);
  std::vector<Certificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended) return Wrong(path, "a certificate that cannot be read");
  ERR_clear_error();
  if (certificates.empty()) return Wrong(path, "holds no PEM certificate");
  return certificates;
}

// Clients would only see that the handshake fails.
void WarnUnlessValid(const std::string& path, const X509& certificate) {
  if (X509_cmp_current_time(X509_get0_notAfter(&certificate)) < 0) {
    spdlog::warn("{}: the certificate has expired", path);
  } else if (X509_cmp_current_time(X509_get0_notBefore(&certificate)) > 0) {
    spdlog::warn("{}: the certificate is not valid yet", path);
  }
}

absl::Status UseCertificate(SSL_CTX* context, const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(std::vector<Certificate> chain, ReadCertificates(path));
  WarnUnlessValid(path, *chain[0]);
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return Wrong(path, "refused");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return Wrong(path, "refused");
  }
  return absl::OkStatus();
}

absl::Status UsePrivateKey(SSL_CTX* context, const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(std::string pem, ReadSecretFile(path));
  const std::unique_ptr<EVP_PKEY, Deleter> key(
      PEM_read_bio_PrivateKey(ReaderOf(pem).get(), nullptr, NoPassphrase, nullptr));
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr) return Wrong(path, "holds no PEM private key without a passphrase");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return Wrong(path, "is not the certificate's private key");
  }
  return absl::OkStatus();
}

absl::Status AskForCertificates(SSL_CTX* context, const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities, ReadCertificates(path));
  for (const Certificate& authority : authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return Wrong(path, "refused");
    }
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return absl::OkStatus();
}

// With a client that names protocols, ours must be among them (RFC 7301).
int SelectProtocol(SSL* session, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  const auto* ours = static_cast<const unsigned char*>(SSL_get_app_data(session));
  const int outcome = SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, ours,
                                            ours[0] + 1u, offered, offered_size);
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

absl::StatusOr<TlsCredentials::Context> TlsCredentials::MakeContext(const v1::Tls& files) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::ResourceExhaustedError("TLS: no memory");
  SSL_CTX* ssl = context.get();
  HEARTH_CHECK(SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1);
  HEARTH_CHECK(SSL_CTX_set_cipher_list(ssl, kCiphers) == 1);
  // An end without close_notify is an end: HTTP says itself whether a request is whole.
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  HEARTH_CHECK(SSL_CTX_set_num_tickets(ssl, 0) == 1);
  // One that reads would go on for as long as a client sends records without data in them.
  SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(ssl, SelectProtocol, nullptr);
  HEARTH_RETURN_IF_ERROR(UseCertificate(ssl, files.certificate_file()));
  HEARTH_RETURN_IF_ERROR(UsePrivateKey(ssl, files.private_key_file()));
  if (!files.client_ca_file().empty()) {
    HEARTH_RETURN_IF_ERROR(AskForCertificates(ssl, files.client_ca_file()));
  }
  return context;
}

absl::StatusOr<TlsCredentials> TlsCredentials::Read(const v1::Tls& files) {
  TlsCredentials credentials;
  credentials.files_ = files;
  HEARTH_RETURN_IF_ERROR(credentials.Reload());
  return credentials;
}

absl::Status TlsCredentials::Reload() {
  if (empty()) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(Context context, MakeContext(files_));
  std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->context.swap(context);  // sessions keep theirs
  return absl::OkStatus();
}

TlsSession TlsCredentials::NewSession(const char* alpn) const {
  HEARTH_CHECK(!empty());
  TlsSession session;
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    session.reset(SSL_new(shared_->context.get()));
  }
  if (session == nullptr) return nullptr;
  SSL_set_app_data(session.get(), const_cast<char*>(alpn));
  SSL_set_accept_state(session.get());
  return session;
}

}  // namespace hearth::server
