// Certificates and private keys for tests, made as they run.
#ifndef HEARTH_TESTS_SERVER_CERTIFICATES_H_
#define HEARTH_TESTS_SERVER_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "hearth/v1/config.pb.h"

namespace hearth::server {

struct CertificateOptions {
  std::string name = "hearth.test";           // its common name
  const class Certificate* issuer = nullptr;  // null: itself
  int days = 1;                               // it is valid for, from an hour ago; negative: it was
};

// An EC key pair and a certificate for "localhost" and 127.0.0.1, which may issue others.
class Certificate {
 public:
  explicit Certificate(const CertificateOptions& options = {});

  std::string pem() const;
  std::string private_key_pem(const std::string& passphrase = "") const;

  // Writes both to test files, `stem`.crt and `stem`.key, and says where.
  v1::Tls WriteTo(const std::string& stem) const;

 private:
  struct Deleter {
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  std::unique_ptr<EVP_PKEY, Deleter> key_;
  std::unique_ptr<X509, Deleter> certificate_;
};

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_CERTIFICATES_H_
