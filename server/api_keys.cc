#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "engine/status_macros.h"
#include "server/small_file.h"
#include "server/status.h"

namespace hearth::server {
namespace {

std::string Sha256(std::string_view text) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

bool IsKeyText(std::string_view key) {
  constexpr size_t kLongestKey = 512;
  return key.size() <= kLongestKey &&
         std::all_of(key.begin(), key.end(), [](char c) { return absl::ascii_isgraph(c); });
}

}  // namespace

bool KeyFailures::Count(std::chrono::steady_clock::time_point now) {
  std::lock_guard<std::mutex> lock(mutex_);
  const double seconds = std::chrono::duration<double>(now - last_).count();
  left_ = std::min(kBurst, left_ + seconds * kPerSecond);
  last_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

absl::StatusOr<ApiKeys::Hashes> ApiKeys::ReadHashes(const std::string& path) {
  constexpr size_t kMaxKeys = 1024;
  HEARTH_ASSIGN_OR_RETURN(const std::string content, ReadSecretFile(path));
  Hashes hashes;
  int line_number = 0;
  for (const absl::string_view raw : absl::StrSplit(content, '\n')) {
    ++line_number;
    const std::string line(absl::StripAsciiWhitespace(raw));  // also of the CR of CRLF
    if (line.empty() || line[0] == '#') continue;
    if (!IsKeyText(line)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ":", line_number, ": expected at most 512 printable ASCII characters, no spaces"));
    }
    if (hashes.size() == kMaxKeys) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": more than ", kMaxKeys, " keys"));
    }
    hashes.push_back(Sha256(line));
  }
  if (hashes.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": holds no key"));
  return hashes;
}

absl::StatusOr<ApiKeys> ApiKeys::Read(const std::string& path) {
  ApiKeys keys;
  keys.path_ = path;
  HEARTH_RETURN_IF_ERROR(keys.Reload());
  return keys;
}

absl::Status ApiKeys::Reload() {
  if (empty()) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(Hashes hashes, ReadHashes(path_));
  auto fresh = std::make_shared<const Hashes>(std::move(hashes));
  std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->hashes = std::move(fresh);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ApiKeys::Authenticate(std::string_view key) const {
  std::shared_ptr<const Hashes> hashes;
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    hashes = shared_->hashes;
  }
  const std::string hash = Sha256(key);
  bool known = false;
  for (const std::string& candidate : *hashes) {  // no early end: time tells nothing
    known |= CRYPTO_memcmp(candidate.data(), hash.data(), hash.size()) == 0;
  }
  if (!known && !shared_->failures.Count(std::chrono::steady_clock::now())) {
    return WithRetryAfter(absl::ResourceExhaustedError("too many requests without a valid API key"),
                          absl::Seconds(1));
  }
  if (!known) {
    return absl::UnauthenticatedError("a valid API key is needed: Authorization: Bearer KEY");
  }
  return absl::StrCat("key-", absl::BytesToHexString(hash.substr(0, 4)));
}

}  // namespace hearth::server
