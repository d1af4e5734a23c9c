// Prompts that are computed for what is in them: hidden states, log-probabilities, a pinned prefix.
// Nothing is generated. Knows no transport, as a Session does not.
#ifndef HEARTH_SERVER_PROMPT_RUN_H_
#define HEARTH_SERVER_PROMPT_RUN_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/request.h"
#include "server/daemon.h"
#include "server/task.h"

namespace hearth::server {

// Requests made one at a time as there is room for them, so that they need not all be held. Safe
// from any thread; `request` is called once for each index, in ascending order.
struct PromptRequests {
  size_t count = 0;
  std::function<Request(size_t index)> request;
};

struct PromptResult {
  std::vector<Token> foretold;   // where prompt_logits_from and top_logprobs ask for them
  std::vector<float> embedding;  // where pooling does
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
};

// Half of the engine's places are used at most: others find one.
class PromptRun final : public Task, public std::enable_shared_from_this<PromptRun> {
 public:
  static absl::StatusOr<std::shared_ptr<PromptRun>> Start(Daemon& daemon, std::string client,
                                                          PromptRequests requests);
  ~PromptRun() override;  // cancels what has not ended

  // The results in the order of the requests, or nullopt when `timeout` passes first. One that
  // fails ends them all. After results, or an error, it is not called again.
  absl::StatusOr<std::optional<std::vector<PromptResult>>> Wait(absl::Duration timeout);

  // `done` is called once, from any thread, when Wait(0) has something to return; at once if it has
  // already. Called once at most.
  void NotifyWhenDone(std::function<void()> done);

  void Cancel(absl::Status why) override;

 private:
  class Sink;

  PromptRun(Daemon& daemon, std::string client, PromptRequests requests);
  void SubmitMore();
  void OnEvent(size_t index, const Event& event);
  void OnFinish(size_t index, const Finish& finish);
  bool done() const { return !failure_.ok() || ended_ == requests_.count; }

  Daemon& daemon_;
  const PromptRequests requests_;
  const size_t most_under_way_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<PromptResult> results_;
  std::vector<RequestId> ids_;  // of those submitted, in order
  size_t ended_ = 0;
  bool submitting_ = false;  // some thread does, and looks again afterwards
  absl::Status failure_;
  std::function<void()> notify_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_PROMPT_RUN_H_
