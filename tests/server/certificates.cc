#include "tests/server/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

#include "engine/check.h"
#include "tests/server/test_file.h"

namespace hearth::server {
namespace {

void AddExtension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  HEARTH_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

template <typename Write>
std::string ToPem(const Write& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  HEARTH_CHECK(write(bio) == 1);
  char* data;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

}  // namespace

Certificate::Certificate(const CertificateOptions& options)
    : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
  static std::atomic<int> serial{1};
  constexpr long kHour = 3600;
  X509* certificate = certificate_.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), options.days < 0 ? -48 * kHour : -kHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate), options.days * 24 * kHour);
  X509_set_pubkey(certificate, key_.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(options.name.c_str()), -1, -1,
                             0);
  const Certificate& issuer = options.issuer == nullptr ? *this : *options.issuer;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate_.get()));
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  HEARTH_CHECK(X509_sign(certificate, issuer.key_.get(), EVP_sha256()) > 0);
}

std::string Certificate::pem() const {
  return ToPem([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

std::string Certificate::private_key_pem(const std::string& passphrase) const {
  const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  return ToPem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), cipher, passphrase.data(),
                                         static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

v1::Tls Certificate::WriteTo(const std::string& stem) const {
  v1::Tls files;
  files.set_certificate_file(WriteTestFile(stem + ".crt", pem(), 0644));
  files.set_private_key_file(WriteTestFile(stem + ".key", private_key_pem()));
  return files;
}

}  // namespace hearth::server
