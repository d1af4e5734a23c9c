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

absl::Status ApiKeys::ReadFile(const std::string& path, bool admin, Keys& keys) {
  constexpr size_t kMaxKeys = 1024;
  if (path.empty()) return absl::OkStatus();
  HEARTH_ASSIGN_OR_RETURN(const std::string content, ReadSecretFile(path));
  size_t count = 0;
  int line_number = 0;
  for (const absl::string_view raw : absl::StrSplit(content, '\n')) {
    ++line_number;
    const std::string line(absl::StripAsciiWhitespace(raw));  // also of the CR of CRLF
    if (line.empty() || line[0] == '#') continue;
    if (!IsKeyText(line)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ":", line_number, ": expected at most 512 printable ASCII characters, no spaces"));
    }
    if (++count > kMaxKeys) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": more than ", kMaxKeys, " keys"));
    }
    keys.push_back({Sha256(line), admin});
  }
  if (count == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": holds no key"));
  return absl::OkStatus();
}

absl::StatusOr<ApiKeys> ApiKeys::Read(const std::string& path, const std::string& admin_path) {
  ApiKeys keys;
  keys.path_ = path;
  keys.admin_path_ = admin_path;
  HEARTH_RETURN_IF_ERROR(keys.Reload());
  return keys;
}

absl::Status ApiKeys::Reload() {
  auto fresh = std::make_shared<Keys>();
  HEARTH_RETURN_IF_ERROR(ReadFile(path_, /*admin=*/false, *fresh));
  HEARTH_RETURN_IF_ERROR(ReadFile(admin_path_, /*admin=*/true, *fresh));
  std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->keys = std::move(fresh);
  return absl::OkStatus();
}

absl::StatusOr<ApiKeys::Match> ApiKeys::Find(std::string_view hash) const {
  std::shared_ptr<const Keys> keys;
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    keys = shared_->keys;
  }
  Match match;
  for (const Key& key : *keys) {  // no early end: time tells nothing
    const bool same = CRYPTO_memcmp(key.hash.data(), hash.data(), hash.size()) == 0;
    match.known |= same;
    match.admin |= same & key.admin;
  }
  if (match.known || shared_->failures.Count(std::chrono::steady_clock::now())) return match;
  return WithRetryAfter(absl::ResourceExhaustedError("too many requests without a valid API key"),
                        absl::Seconds(1));
}

absl::StatusOr<std::string> ApiKeys::Authenticate(std::string_view key) const {
  const std::string hash = Sha256(key);
  HEARTH_ASSIGN_OR_RETURN(const Match match, Find(hash));
  if (!match.known) {
    return absl::UnauthenticatedError("a valid API key is needed: Authorization: Bearer KEY");
  }
  return absl::StrCat("key-", absl::BytesToHexString(hash.substr(0, 4)));
}

absl::Status ApiKeys::CheckAdmin(std::string_view key) const {
  HEARTH_ASSIGN_OR_RETURN(const Match match, Find(Sha256(key)));
  if (match.admin) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "only a key of auth.admin_key_file may do this: Authorization: Bearer KEY");
}

}  // namespace hearth::server
