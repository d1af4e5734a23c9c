// What both transports serve: the loaded model, its chat format, the limits, and whether
// requests are taken now. Safe from any thread.
#ifndef HEARTH_SERVER_DAEMON_H_
#define HEARTH_SERVER_DAEMON_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/chat/chat_format.h"
#include "engine/engine.h"
#include "hearth/v1/config.pb.h"
#include "server/api_keys.h"
#include "server/metrics.h"
#include "server/tls.h"

namespace hearth::server {

class Session;

// Life: loading → ready → draining. Listeners are open in all three.
class Daemon {
 public:
  // `config` has its defaults filled in (ResolveDefaults).
  Daemon(v1::Config config, ApiKeys keys, TlsCredentials tls = {});
  ~Daemon();

  // Ends the loading phase. REQUIRES: called once.
  void Serve(std::unique_ptr<Engine> engine);

  // OK when a generation may start; Unavailable ("loading", "draining") otherwise.
  absl::Status Ready() const;
  bool loaded() const;
  bool draining() const { return draining_.load(std::memory_order_relaxed); }

  // Takes no more generations, waits for the live ones up to `limit`, then cancels the rest with
  // an error event and waits for their ends.
  void Drain(absl::Duration limit);

  // REQUIRES: loaded(), as for everything about the model below.
  Engine& engine() const { return *engine_; }
  // Null when the model has no chat format we know.
  const ChatFormat* chat_format() const { return chat_format_ ? &*chat_format_ : nullptr; }

  // OK when `name` is the served model; NotFound with code model_not_found otherwise.
  absl::Status CheckModel(std::string_view name) const;
  const std::string& model_id() const { return model_id_; }
  int64_t started_unix() const { return started_unix_; }

  // Keeps apart the cached prefixes of clients that can be told apart: what one has asked is not
  // shown to another by the time or the cached_tokens of a reply.
  uint64_t CacheSalt(std::string_view client) const;

  // PermissionDenied for a user of a Unix socket (by PeerName) whom listen.allowed_uids leaves out.
  absl::Status CheckPeer(std::string_view peer) const;

  const v1::Config& config() const { return config_; }
  const ApiKeys& keys() const { return keys_; }       // empty: no authentication
  const TlsCredentials& tls() const { return tls_; }  // empty: no TLS listeners
  // Reads the files of both again. What is wrong, one a line; it stays as it was.
  absl::Status Reload();
  Metrics& metrics() { return metrics_; }

  // Live sessions, for Drain and for shutdown. Unavailable once the daemon drains: what Drain does
  // not see must not begin.
  absl::Status Register(const std::shared_ptr<Session>& session);
  void Unregister(Session* session);
  int live_sessions() const;

 private:
  const v1::Config config_;
  ApiKeys keys_;
  TlsCredentials tls_;
  const int64_t started_unix_;
  const uint64_t salt_key_;  // random
  Metrics metrics_;
  std::optional<ChatFormat> chat_format_;
  std::string model_id_;
  std::atomic<bool> loaded_{false};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::condition_variable left_;                                    // a session went
  absl::flat_hash_map<Session*, std::weak_ptr<Session>> sessions_;  // guarded by the mutex
  // Last, to go first: its last events still reach sessions, which use it and all the rest.
  // (Not reset(): that would show them a null engine meanwhile.)
  std::unique_ptr<Engine> engine_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_DAEMON_H_
