#include "tests/server/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "engine/check.h"

namespace hearth::server {
namespace {

template <typename Read>
auto FromPem(const std::string& pem, const Read& read) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  auto* object = read(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  HEARTH_CHECK(object != nullptr);
  return object;
}

}  // namespace

TlsClient::TlsClient(int fd, const TlsClientOptions& options)
    : context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_security_level(context, 0);  // old versions are for the server to refuse
  SSL_CTX_set_max_proto_version(context, options.most_version);
  if (options.trusted != nullptr) {
    X509* root = FromPem(options.trusted->pem(), PEM_read_bio_X509);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
    X509_free(root);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (options.certificate != nullptr) {
    X509* own = FromPem(options.certificate->pem(), PEM_read_bio_X509);
    EVP_PKEY* key = FromPem(options.certificate->private_key_pem(), PEM_read_bio_PrivateKey);
    HEARTH_CHECK(SSL_CTX_use_certificate(context, own) == 1);
    HEARTH_CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(own);
    EVP_PKEY_free(key);
  }
  session_.reset(SSL_new(context));
  SSL* session = session_.get();
  if (!options.alpn.empty()) {
    SSL_set_alpn_protos(session, reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned>(options.alpn.size()));
  }
  SSL_set_fd(session, fd);
  ERR_clear_error();
  connected_ = SSL_connect(session) == 1;
}

std::string TlsClient::alpn() const {
  const unsigned char* name;
  unsigned size;
  SSL_get0_alpn_selected(session_.get(), &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

std::string TlsClient::version() const { return SSL_get_version(session_.get()); }

bool TlsClient::Send(std::string_view bytes) {
  ERR_clear_error();
  size_t sent;
  return bytes.empty() || SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &sent) == 1;
}

std::string TlsClient::Receive(size_t size) {
  ERR_clear_error();
  std::string bytes(size, '\0');
  size_t got = 0;
  if (SSL_read_ex(session_.get(), bytes.data(), size, &got) != 1) got = 0;
  bytes.resize(got);
  return bytes;
}

std::string TlsClient::ReceiveExactly(size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const std::string more = Receive(size - bytes.size());
    if (more.empty()) break;
    bytes += more;
  }
  return bytes;
}

void TlsClient::UpdateKey() {
  HEARTH_CHECK(SSL_key_update(session_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
  HEARTH_CHECK(SSL_do_handshake(session_.get()) == 1);
}

void TlsClient::SendEnd() {
  SSL_shutdown(session_.get());
  ERR_clear_error();
}

}  // namespace hearth::server
