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

class Task;

// Life: loading → ready → draining. Listeners are open in all three.
class Daemon {
 public:
  // `config` has its defaults filled in (ResolveDefaults).
  // `on_stop` is what Stop calls; any thread's.
  Daemon(
      v1::Config config, ApiKeys keys, TlsCredentials tls = {},
      std::function<void()> on_stop = [] {});
  ~Daemon();

  // Ends the loading phase. REQUIRES: called once.
  void Serve(std::unique_ptr<Engine> engine);

  // OK when a generation may start; Unavailable ("loading", "draining") otherwise.
  absl::Status Ready() const;
  bool loaded() const;
  bool draining() const { return draining_.load(std::memory_order_relaxed); }

  // Takes no more tasks, waits for the live ones up to `limit`, then cancels the rest with an error
  // and waits for their ends.
  void Drain(absl::Duration limit);

  // Takes no more tasks and calls, the first time, on_stop, which ends the process with a Drain.
  // Returns how many tasks are under way.
  int Stop();

  // REQUIRES: loaded(), as for everything about the model below.
  Engine& engine() const { return *engine_; }
  // Null when the model has no chat format we know.
  const ChatFormat* chat_format() const { return chat_format_ ? &*chat_format_ : nullptr; }

  // OK when `name` is the served model, or empty; NotFound with code model_not_found otherwise.
  absl::Status CheckModel(std::string_view name) const;
  const std::string& model_id() const { return model_id_; }
  // "fp_" and what a reply's bits depend on beside the request: build and arithmetic, model, cache
  // type.
  std::string system_fingerprint() const;
  int64_t started_unix() const { return started_unix_; }

  // Keeps apart the cached prefixes of clients that can be told apart: what one has asked is not
  // shown to another by the time or the cached_tokens of a reply. `key` is the client's own, to
  // keep its users apart.
  uint64_t CacheSalt(std::string_view client, std::string_view key) const;

  // PermissionDenied for a user of a Unix socket (by PeerName) whom listen.allowed_uids leaves out.
  absl::Status CheckPeer(std::string_view peer) const;

  // PermissionDenied, or ResourceExhausted as of ApiKeys, to those who may not do what all clients
  // feel. Where auth.admin_key_file is set, whoever has such a key may; else root and the daemon's
  // own user (by PeerName), over a Unix socket.
  absl::Status CheckAdmin(std::string_view peer, std::string_view key) const;

  const v1::Config& config() const { return config_; }
  const ApiKeys& keys() const { return keys_; }       // empty: no authentication
  const TlsCredentials& tls() const { return tls_; }  // empty: no TLS listeners
  // Reads the files of both again. What is wrong, one a line; it stays as it was.
  absl::Status Reload();
  Metrics& metrics() { return metrics_; }

  // What is under way, for Drain, for shutdown and to be cancelled by its client. Unavailable once
  // the daemon drains: what Drain does not see must not begin.
  absl::Status Register(const std::shared_ptr<Task>& task);
  void Unregister(Task* task);
  int live_tasks() const;
  // Cancels the task with this id. False when there is none, or when it is another client's.
  bool CancelTask(std::string_view id, std::string_view client);

 private:
  const v1::Config config_;
  ApiKeys keys_;
  TlsCredentials tls_;
  const std::function<void()> on_stop_;
  const int64_t started_unix_;
  const uint64_t salt_key_;  // random
  Metrics metrics_;
  std::optional<ChatFormat> chat_format_;
  std::string model_id_;
  std::atomic<bool> loaded_{false};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::condition_variable left_;                           // a task went
  absl::flat_hash_map<Task*, std::weak_ptr<Task>> tasks_;  // guarded by the mutex
  // Last, to go first: its last events still reach tasks, which use it and all the rest.
  // (Not reset(): that would show them a null engine meanwhile.)
  std::unique_ptr<Engine> engine_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_DAEMON_H_
