// The keys of auth.key_file and auth.admin_key_file: who may ask, and who may do more.
#ifndef HEARTH_SERVER_API_KEYS_H_
#define HEARTH_SERVER_API_KEYS_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace hearth::server {

// Wrong keys, counted over all clients of both transports: 20 at once, then 10 a second. Safe from
// any thread.
class KeyFailures {
 public:
  // Counts one; false when there were too many.
  bool Count(std::chrono::steady_clock::time_point now);

 private:
  static constexpr double kBurst = 20;
  static constexpr double kPerSecond = 10;

  std::mutex mutex_;
  double left_ = kBurst;
  std::chrono::steady_clock::time_point last_;
};

// Hashed; none when no file is configured. Safe from any thread.
class ApiKeys {
 public:
  ApiKeys() = default;
  // Files that others cannot open (ReadSecretFile), 1 to 1024 keys each, one a line, '#' starts a
  // comment line; none for an empty path. InvalidArgument says what is wrong, never what a key is.
  static absl::StatusOr<ApiKeys> Read(const std::string& path, const std::string& admin_path = "");

  // Reads the files again; on an error the keys stay as they are. A key that is gone opens nothing
  // from now on; what it has begun goes on.
  absl::Status Reload();

  bool empty() const { return path_.empty(); }  // all are let in, whether there are admins or not
  bool has_admins() const { return !admin_path_.empty(); }
  // Constant-time in the keys; no key at all is the empty one. A match returns a name for logs and
  // fairness (not the key). Unauthenticated otherwise; ResourceExhausted when that happens too
  // often.
  absl::StatusOr<std::string> Authenticate(std::string_view key) const;
  // PermissionDenied for a key that is no admin's; ResourceExhausted as above.
  absl::Status CheckAdmin(std::string_view key) const;

 private:
  struct Key {
    std::string hash;  // SHA-256
    bool admin;
  };
  using Keys = std::vector<Key>;
  struct Match {
    bool known = false;
    bool admin = false;
  };
  struct Shared {
    std::mutex mutex;
    std::shared_ptr<const Keys> keys = std::make_shared<Keys>();  // guarded by the mutex
    KeyFailures failures;
  };

  static absl::Status ReadFile(const std::string& path, bool admin, Keys& keys);
  // ResourceExhausted where it is not known, and that happens too often.
  absl::StatusOr<Match> Find(std::string_view hash) const;

  std::string path_;
  std::string admin_path_;
  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_API_KEYS_H_
