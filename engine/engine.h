// The engine's façade: a loaded model that continues prompts. What the server links.
//
// Threads: Submit, Cancel and the accessors may be called from any thread. One engine thread
// runs the step loop (schedule, forward, sample, apply); kernel workers are inside Forward.
#ifndef HEARTH_ENGINE_ENGINE_H_
#define HEARTH_ENGINE_ENGINE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/constraint_source.h"
#include "engine/kv_type.h"
#include "engine/model_work.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"

namespace hearth {

struct EngineOptions {
  std::string model_path;
  int32_t threads = 0;  // 0: CPUs of this process
  std::string isa;      // empty: HEARTH_ISA, else the best
  // Unset: as exact as the weights. int8 for quantised ones, f16 or f32 for F16, BF16 and F32.
  std::optional<KvType> kv_type;
  int32_t kv_tokens = 0;           // 0: 8192, or less where memory_limit leaves less
  int32_t max_context = 0;         // 0: min(model, kv_tokens); at most that
  uint64_t memory_limit = 0;       // bytes; 0: nine tenths of the cgroup's or machine's memory
  int32_t default_max_tokens = 0;  // 0: 1024
  int32_t max_running = 16;
  int32_t max_queued = 64;
  int32_t max_batch_tokens = 512;
  int32_t max_logit_rows = 0;  // computed at once; 0: max_running, the fewest
  int32_t max_chunk = 0;       // prompt tokens of one sequence in one step; 0: no own limit
  std::chrono::milliseconds inter_token_target{250};
  bool prefix_cache = true;
  // Where packed weights are kept for the next start; empty: nowhere. What becomes of them is told
  // to `log`, which may be empty, from threads of the engine.
  std::string cache_directory;
  std::function<void(absl::LogSeverity, const std::string&)> log;
};

// Memory, in bytes, planned before anything large is allocated.
struct MemoryPlan {
  uint64_t weights = 0;
  uint64_t kv = 0;
  uint64_t buffers = 0;  // activations, logits, scratch, tables
  uint64_t limit = 0;
  int32_t kv_tokens = 0;

  uint64_t total() const { return weights + kv + buffers; }
  std::string ToString() const;  // one line for people
};

struct ModelInfo {
  std::string name;  // general.name; may be empty
  std::string architecture;
  std::string weight_type;  // of most bytes
  int64_t parameters = 0;
  int32_t vocab_size = 0;
  int32_t model_context = 0;  // longest the model was made for
  int32_t max_context = 0;    // longest served: prompt and output together
  int32_t block_tokens = 0;   // of a KV block; prefixes are cached in whole ones
  int32_t default_max_tokens = 0;
  std::string kv_type;
  std::string isa;
  int32_t threads = 0;
  int32_t max_running = 0;
  int32_t max_queued = 0;
  uint64_t fingerprint = 0;
  bool weights_from_cache = false;  // rather than from the model file
  std::chrono::milliseconds load_time{0};
  MemoryPlan memory;
  ModelWork work;
};

struct EngineStats {
  int32_t queued = 0;
  int32_t running = 0;
  int32_t blocks_total = 0;
  int32_t blocks_used = 0;
  int32_t blocks_cached = 0;
  int32_t blocks_pinned = 0;
  uint64_t preemptions = 0;
  uint64_t cancellations = 0;
  uint64_t prompt_tokens_computed = 0;
  uint64_t prompt_tokens_cached = 0;
  uint64_t tokens_generated = 0;
  uint64_t tokens_recomputed = 0;  // after a preemption
  uint64_t steps = 0;
  bool weight_cache_failed = false;  // the file of packed weights could not be written
};

class Engine {
 public:
  // Called with 0..100 while weights are loaded, from the loading thread.
  using LoadProgress = std::function<void(int percent)>;

  // Opens, checks, plans and loads. DataLoss or InvalidArgument for a bad file, NotFound,
  // PermissionDenied; FailedPrecondition for options the file or the CPU cannot meet;
  // ResourceExhausted with the arithmetic when the plan exceeds the limit.
  static absl::StatusOr<std::unique_ptr<Engine>> Load(const EngineOptions& options,
                                                      const LoadProgress& progress = {});
  // Cancels what is left and joins the engine thread.
  ~Engine();

  // Takes a request; its events go to `sink`, ending with Finish, also when it is cancelled.
  // InvalidArgument when it breaks a REQUIRES of Request, ResourceExhausted when the queue is
  // full, Unavailable when the engine stops. Events may come before Submit returns. A pin that the
  // cache has no room for ends with ResourceExhausted.
  absl::StatusOr<RequestId> Submit(Request request, std::shared_ptr<EventSink> sink);
  // Ends it within one step. Unknown and ended ids are ignored.
  void Cancel(RequestId id);

  // Compiles what requests may be held to (Request::constraint), on the caller's thread: some
  // milliseconds, at most some tens, one at a time; those compiled lately are kept. InvalidArgument
  // for what is wrong, not supported or too complex; of a schema, the message begins with the JSON
  // Pointer of the place. ResourceExhausted while other requests hold too much. What the language
  // of a schema is stands in engine/constrain/constraint.h.
  absl::StatusOr<std::shared_ptr<const Constraint>> CompileConstraint(
      const ConstraintSource& source);

  // What `choices` times `request` would meet. Runs nothing and waits for no step. Errors as
  // Submit's, but for a full queue. REQUIRES: choices >= 1.
  absl::StatusOr<Estimate> EstimateFor(Request request, int32_t choices) const;

  // Sees the raw logits that each token is drawn from, and those of the prompt where they are asked
  // for; `position` is that of the token they foretell. On the engine thread. Set before the first
  // Submit.
  using LogitObserver =
      std::function<void(RequestId, int64_t position, absl::Span<const float> logits)>;
  void set_logit_observer(LogitObserver observer);

  const Tokenizer& tokenizer() const;
  const ModelInfo& info() const;
  EngineStats stats() const;
  // Rounds of the engine thread so far. Asking wakes an idle engine for one round, so of two
  // answers the second is greater exactly when the engine is alive: a watchdog's food (row F6).
  uint64_t Heartbeat();
  // Forgets every cached prefix no running request uses, pinned ones too.
  void FlushPrefixCache();
  // Lets go of what Request::pin keeps. False when there is none of that name.
  bool Unpin(const std::string& name);

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The tokenizer alone; also of files that hold only a vocabulary.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path);

// Metadata and tensors of a model file, as they lie in it.
struct ModelListing {
  struct Entry {
    std::string key, type, value;
  };
  struct TensorEntry {
    std::string name, type;
    std::vector<int64_t> dims;
    uint64_t offset, bytes;
  };
  std::string format;
  std::vector<Entry> metadata;
  std::vector<TensorEntry> tensors;
};
absl::StatusOr<ModelListing> InspectModel(const std::string& path);

}  // namespace hearth

#endif  // HEARTH_ENGINE_ENGINE_H_
