// Packed weights kept in a file, from which the next start reads them instead of packing the model
// file again. A file that is absent, damaged or of something else costs that time and nothing more.
#ifndef HEARTH_ENGINE_MODELS_WEIGHT_CACHE_H_
#define HEARTH_ENGINE_MODELS_WEIGHT_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/log_severity.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/ops/workers.h"

namespace hearth {

// One file, "packed-weights", in a directory that is one model's. It appears there whole or not at
// all, also where several daemons share the directory.
class WeightCache {
 public:
  // Called from any thread; may be empty.
  using Log = std::function<void(absl::LogSeverity, const std::string&)>;

  WeightCache(std::string directory, Log log);
  // Abandons a file half written.
  ~WeightCache() = default;

  // Fills `weights` from the file if it is theirs, by `key`, and nobody else could have written it.
  // False, the reason logged, when they have to be packed; they may be anything then.
  bool Load(ops::Workers& workers, uint64_t key, absl::Span<std::byte> weights);

  // Writes the file in a thread of its own, slowly enough that requests do not notice. Not into
  // memory (tmpfs), of which the plan has none for it, nor where another daemon writes.
  // REQUIRES: called once; the weights outlive this object and do not change.
  void Save(uint64_t key, absl::Span<const std::byte> weights);

  // Whether the weights came from the file.
  bool loaded() const { return loaded_; }
  // Whether the file could not be written.
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  std::string path() const;

 private:
  absl::Status Read(ops::Workers& workers, uint64_t key, absl::Span<std::byte> weights) const;
  absl::Status Write(std::stop_token stop, uint64_t key, absl::Span<const std::byte> weights) const;
  void Fail(absl::string_view reason);

  const std::string directory_;
  const Log log_;
  bool loaded_ = false;
  std::atomic<bool> failed_ = false;
  std::jthread writer_;  // last, to end first
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODELS_WEIGHT_CACHE_H_
